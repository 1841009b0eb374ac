using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Reporting;

/// <summary>The way of rows through a model: its hidden states, or what it says while a series unfolds; and what the solve costs.</summary>
internal sealed class Trajectories(ReportPage page, SavedModel model, ScoredRows rows)
{
    private const int MostRows = 120;
    private const int MostFeatures = 2_000_000;
    private const int MostSeries = 8;
    private const string Column = "Report.Values";

    public void Write()
    {
        switch (model.Step)
        {
            case NeuralOdeTransformer step when model.Summary!.Solver.Length > 0: HiddenStates(step); break;
            case NeuralCdeTransformer step: Unfolding(step); break;
            case ContinuousFlowTransformer { Model: { FeatureCount: 2, ConditionCount: 0 } flow } step: Plane(step, flow); break;
        }
    }

    private void HiddenStates(NeuralOdeTransformer step)
    {
        int count = Math.Clamp(MostFeatures / step.Model.FeatureCount, 1, MostRows);
        float[][] features = [.. rows.Rows.GetColumn<float[]>(step.FeatureColumnName).Take(count).Where(row => row.All(float.IsFinite))];
        if (features.Length == 0)
            return;
        using DisposeScope scope = NewDisposeScope();
        using OdeSolution solution = step.Model.HiddenStates([.. features.SelectMany(row => row)]);
        page.Section("Solving the equation");
        Statistics(solution.Statistics, features.Length);
        // Of images the means of their channels, which is what the head reads.
        Tensor states = solution.States.flatten(2).dim() == 3 && solution.States.dim() > 3
            ? solution.States.flatten(3).mean([3L]) : solution.States;
        (int[] kinds, IReadOnlyList<string> names) = Kinds();
        page.Add(
            Figures.Trajectories(states, [.. kinds.Take(features.Length)], names, $"{features.Length} rows on their way"),
            "Hidden states from the encoded features to the dot, where the head reads them, in the plane in which they spread most.");
    }

    private void Statistics(SolverStatistics cost, int count)
    {
        NeuralOdeModelSummary summary = model.Summary!;
        List<IReadOnlyList<string>> lines =
        [
            ["solver", summary.Solver], ["rows together", ModelReport.Count(count)],
            ["evaluations of the right-hand side for them", ModelReport.Count(cost.FunctionEvaluations)],
            ["evaluations a row", ModelReport.Number((double)cost.RowEvaluations / count)],
            ["steps (of all rows, where each has its own)", ModelReport.Count(cost.AcceptedSteps)],
            ["steps tried and rejected", ModelReport.Count(cost.RejectedSteps)],
            ["smallest step", ModelReport.Number(cost.SmallestStep)], ["largest step", ModelReport.Number(cost.LargestStep)],
            ["end time", ModelReport.Number(summary.EndTime)],
            ["stiff", cost.IsStiff ? "yes: an implicit method would take longer steps" : "no sign of it"],
        ];
        if (cost.Jacobians > 0)
            lines.Add(["Jacobians", ModelReport.Count(cost.Jacobians)]);
        page.Table([], lines);
    }

    /// <summary>What rows are coloured by: their class, or the quarter of predicted numbers that they are in.</summary>
    private (int[] Kinds, IReadOnlyList<string> Names) Kinds()
    {
        if (rows.Task == ModelTask.Multiclass)
        {
            IReadOnlyList<string> names = rows.Classes;
            string[]? truth = rows.HasLabel ? rows.Truth() : null;
            int[] predicted = [.. rows.Vectors(rows.Score).Select(row => Array.IndexOf(row, row.Max()))];
            return ([.. predicted.Select((place, row) => truth is not null && names.ToList().IndexOf(truth[row]) is >= 0 and var known
                ? known : Math.Max(0, place))], names);
        }
        if (rows.Task == ModelTask.Binary)
            return ([.. rows.Rows.GetColumn<bool>(rows.PredictedLabel!).Select(yes => yes ? 1 : 0)], ["taken for no", "taken for yes"]);
        float[] scores = [.. rows.Vectors(rows.Score).Select(row => row[0])];
        float[] sorted = [.. scores.Order()];
        return ([.. scores.Select(score => Math.Max(0, Math.Min(3, 4 * Array.BinarySearch(sorted, score) / sorted.Length)))],
            ["lowest quarter", "second", "third", "highest quarter of the predictions"]);
    }

    private void Plane(ContinuousFlowTransformer step, ContinuousFlowModel flow)
    {
        using DisposeScope scope = NewDisposeScope();
        float[] points = [.. rows.Rows.GetColumn<float[]>(step.FeatureColumnName)
            .Where(row => row.All(float.IsFinite)).Take(1000).SelectMany(row => row)];
        if (points.Length == 0)
            return;
        page.Section("The density").Add(
            Figures.Density(x => tensor(flow.LogDensity(x.to(ScalarType.Float32).contiguous().data<float>().ToArray())),
                tensor(points, [points.Length / 2, 2])),
            "Rows, and the density that the model sees there.");
    }

    /// <summary>The probability of the right class, or the score, after each observation of a few series.</summary>
    private void Unfolding(NeuralCdeTransformer step)
    {
        float[][][] channels = [.. step.ValueColumnNames.Select(name => Read<float>(name, DataKind.Single))];
        double[][]? times = step.TimeColumnName is { } column ? Read<double>(column, DataKind.Double) : null;
        (int[] kinds, IReadOnlyList<string> names) = Kinds();
        var curves = new List<Curve>();
        for (int row = 0; row < channels[0].Length; row++)
        {
            int length = channels.Length == 1 ? channels[0][row].Length / step.Model.ChannelCount : channels[0][row].Length;
            float[] values = channels.Length == 1
                ? channels[0][row] : [.. Enumerable.Range(0, length).SelectMany(time => channels.Select(channel => channel[row][time]))];
            if (length == 0 || values.All(float.IsNaN))
                continue;
            double[] places = times?[row] ?? [.. Enumerable.Range(0, length).Select(time => (double)time)];
            float[][] scores;
            try
            {
                scores = step.Model.ScoreAtObservations(values, places);
            }
            catch (InvalidOperationException)
            {
                return; // Several observations go through the model at once.
            }
            int output = rows.Task == ModelTask.Multiclass ? kinds[row] : rows.Task == ModelTask.Binary ? 1 : 0;
            string name = rows.Task == ModelTask.Regression
                ? $"series {row + 1}" : rows.Task == ModelTask.Binary ? $"series {row + 1}" : $"series {row + 1}, {names[kinds[row]]}";
            curves.Add(new Curve(name, [.. places.Select(time => time - places[0])], [.. scores.Select(score => (double)score[output])]));
        }
        if (curves.Count == 0)
            return;
        string what = rows.Task switch
        {
            ModelTask.Multiclass => $"probability of the {(rows.HasLabel ? "right" : "predicted")} class",
            ModelTask.Binary => "probability of yes",
            _ => "score"
        };
        page.Section("While series unfold").Add(
            Figures.Lines(what, "time since the first observation", what, curves), "What the model would say if a series ended there.");
    }

    private T[][] Read<T>(string column, DataKind kind)
    {
        IDataView converted = rows.Context.Transforms.Conversion.ConvertType(Column, column, kind).Fit(rows.Rows).Transform(rows.Rows);
        return [.. converted.GetColumn<T[]>(Column).Take(MostSeries)];
    }
}
