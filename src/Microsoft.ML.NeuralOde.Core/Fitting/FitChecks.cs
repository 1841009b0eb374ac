using Microsoft.ML.NeuralOde.Native;

namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>Looks at what a fit is given.</summary>
internal static class FitChecks
{
    /// <exception cref="ArgumentException">Something makes no sense.</exception>
    public static void Check(IReadOnlyList<OdeParameter> parameters, IReadOnlyList<OdeTrajectory> trajectories, OdeFitOptions options)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(trajectories);
        Require(parameters.Count > 0 && parameters.All(p => p is not null), nameof(parameters),
            "No parameter is given; at least one is needed.");
        foreach (OdeParameter parameter in parameters)
        {
            Require(parameter.Guess > parameter.Lower && parameter.Guess < parameter.Upper && double.IsFinite(parameter.Guess),
                nameof(parameters),
                $"Parameter '{parameter.Name}' begins at {parameter.Guess}; that must lie strictly between {parameter.Lower} and {parameter.Upper}.");
            Require(parameters.Count(other => other.Name == parameter.Name) == 1, nameof(parameters),
                $"Two parameters are named '{parameter.Name}'.");
        }
        CheckTrajectories(trajectories, options);
        CheckOptions(trajectories[0].Values.GetLength(1), options);
    }

    /// <exception cref="ArgumentException">Something makes no sense.</exception>
    public static void Check(nn.Module dynamics, IReadOnlyList<OdeTrajectory> trajectories, OdeNetworkFitOptions options)
    {
        ArgumentNullException.ThrowIfNull(trajectories);
        Require(dynamics.parameters().Any(weight => weight.requires_grad), nameof(dynamics),
            "The network has no weight that requires gradients; there is nothing to train.");
        CheckTrajectories(trajectories, options.ToOptions());
        options.Solver?.Validate();
        Require(options.Solver is not { OnStepLimit: not StepLimitBehavior.Throw }, nameof(options.Solver),
            "OdeNetworkFitOptions.Solver.OnStepLimit must be Throw.");
        Require(options.Segments is null or > 0, nameof(options.Segments),
            $"OdeNetworkFitOptions.Segments is {options.Segments}; it must be positive, or null.");
        Require(options.WeightPenalty >= 0 && double.IsFinite(options.WeightPenalty), nameof(options.WeightPenalty),
            $"OdeNetworkFitOptions.WeightPenalty is {options.WeightPenalty}; it must be zero or a positive number.");
        CheckSearch(nameof(OdeNetworkFitOptions), trajectories[0].Values.GetLength(1), options.ToOptions());
    }

    private static void CheckTrajectories(IReadOnlyList<OdeTrajectory> trajectories, OdeFitOptions options)
    {
        Require(trajectories.Count > 0 && trajectories.All(t => t is not null), nameof(trajectories),
            "No trajectory is given; at least one is needed.");
        for (int i = 0; i < trajectories.Count; i++)
            Check(trajectories[i], i, trajectories[0], options);
    }

    private static void CheckOptions(int columns, OdeFitOptions options)
    {
        Require(options.Solver is not null, nameof(options.Solver), "OdeFitOptions.Solver is null; give solver options.");
        options.Solver!.Validate();
        NativeOptions.Check(options.Solver);
        Require(options.Solver.OnStepLimit == StepLimitBehavior.Throw, nameof(options.Solver),
            "OdeFitOptions.Solver.OnStepLimit must be Throw.");
        Require(options.Solver.RelativeTolerances is null && options.Solver.AbsoluteTolerances is null, nameof(options.Solver),
            "OdeFitOptions.Solver has tolerances per component; a fit takes one for all.");
        Require(options.Segments > 0, nameof(options.Segments), $"OdeFitOptions.Segments is {options.Segments}; it must be positive.");
        Require(Enum.IsDefined(options.Method), nameof(options.Method),
            $"OdeFitOptions.Method is {options.Method}; it must be one of the methods.");
        CheckSearch(nameof(OdeFitOptions), columns, options);
    }

    private static void CheckSearch(string owner, int columns, OdeFitOptions options)
    {
        Require(options.MaximumIterations > 0, nameof(options.MaximumIterations),
            $"{owner}.MaximumIterations is {options.MaximumIterations}; it must be positive.");
        Require(options.Tolerance > 0 && options.Tolerance < 1, nameof(options.Tolerance),
            $"{owner}.Tolerance is {options.Tolerance}; it must lie between 0 and 1.");
        Require(options.Scales is null
            || (options.Scales.Count == columns && options.Scales.All(scale => scale > 0 && double.IsFinite(scale))),
            nameof(options.Scales), $"{owner}.Scales must be {columns} positive numbers, one a column of the observations.");
    }

    private static void Check(OdeTrajectory trajectory, int index, OdeTrajectory first, OdeFitOptions options)
    {
        string name = $"Trajectory {index}";
        Require(trajectory.Times is not null && trajectory.Values is not null, "trajectories", $"{name} has no times or values.");
        int count = trajectory.Times!.Count, columns = trajectory.Values!.GetLength(1);
        Require(count > 1, "trajectories", $"{name} has {count} times; at least two are needed.");
        Require(trajectory.Values.GetLength(0) == count, "trajectories",
            $"{name} has {count} times and {trajectory.Values.GetLength(0)} rows of values; there must be one row a time.");
        Require(columns == first.Values.GetLength(1) && columns > 0, "trajectories",
            $"{name} has {columns} columns, trajectory 0 has {first.Values.GetLength(1)}; all must have the same, at least one.");
        for (int i = 0; i < count; i++)
            Require(double.IsFinite(trajectory.Times[i]) && (i == 0 || trajectory.Times[i] > trajectory.Times[i - 1]), "trajectories",
                $"{name}: times must be finite and strictly increase; time {i} is {trajectory.Times[i]}.");
        Require(!trajectory.Values.Cast<double>().Any(double.IsInfinity), "trajectories",
            $"{name} holds an infinite value; missing values are NaN.");
        Require(trajectory.Values.Cast<double>().Any(double.IsFinite), "trajectories",
            $"{name} holds no observation: all its values are NaN.");
        bool startsSeen = options.Observation is null && Enumerable.Range(0, columns).All(c => double.IsFinite(trajectory.Values[0, c]));
        Require(trajectory.InitialState is not null || startsSeen, "trajectories",
            $"{name}: the state at its first time is not fully observed; give InitialState, exact or as a guess.");
        Require(trajectory.InitialState is not null || !trajectory.IsInitialStateKnown, "trajectories",
            $"{name}: IsInitialStateKnown is set, and InitialState is null.");
        int components = first.InitialState?.Count ?? first.Values.GetLength(1);
        Require((trajectory.InitialState?.Count ?? columns) == components, "trajectories",
            $"{name} has a state of {trajectory.InitialState?.Count ?? columns} components, trajectory 0 one of {components}.");
        Require(options.Observation is not null || components == columns, "trajectories",
            $"{name} has {columns} columns for {components} components; give OdeFitOptions.Observation, or one column a component with NaN where nothing is seen.");
        Require(trajectory.InitialState?.All(double.IsFinite) ?? true, "trajectories",
            $"{name}: InitialState holds a number that is not finite.");
    }

    private static void Require(bool condition, string parameter, string message)
    {
        if (!condition)
            throw new ArgumentException(message, parameter);
    }
}
