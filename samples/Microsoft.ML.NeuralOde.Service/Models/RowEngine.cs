using System.Text.Json;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Service.Answers;
using Microsoft.ML.NeuralOde.Service.Inputs;

namespace Microsoft.ML.NeuralOde.Service.Models;

/// <summary>Scores one row at a time, as ML.NET's PredictionEngine does. Not for several threads at once.</summary>
internal sealed class RowEngine : IDisposable
{
    private readonly RequestCursor _input;
    private readonly DataViewRow _output;
    private readonly AnswerWriter[] _writers;

    public RowEngine(ModelPlan plan)
    {
        _input = new RequestCursor(plan.Layout, []);
        IRowToRowMapper mapper = plan.Scorer.GetRowToRowMapper(plan.Layout.Schema);
        _output = mapper.GetRow(
            _input, plan.Answers.SelectMany(answer => answer.Columns).Select(column => mapper.OutputSchema[column.Index]));
        _writers = [.. plan.Answers.Select(answer => answer.Open(_output))];
    }

    public void Write(object[] row, Utf8JsonWriter writer)
    {
        _input.Stand(row);
        try
        {
            writer.WriteStartObject();
            foreach (AnswerWriter write in _writers)
                write(writer);
            writer.WriteEndObject();
        }
        finally
        {
            _input.Stand(null);
        }
    }

    public void Dispose()
    {
        _output.Dispose();
        _input.Dispose();
    }
}
