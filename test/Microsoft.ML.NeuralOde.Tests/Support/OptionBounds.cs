namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>One option's last good and first bad values, with all others at their defaults.</summary>
internal static class OptionBounds
{
    /// <summary>Asks that the good values are taken and each bad one is refused.</summary>
    /// <param name="option">The field.</param>
    /// <param name="good">Values that are taken.</param>
    /// <param name="bad">Values that are refused.</param>
    /// <param name="message">What is said of the latter, as a pattern.</param>
    public static void Check<TOptions>(string option, object?[] good, object?[] bad, string message)
        where TOptions : NeuralOdeTrainerOptions, new()
    {
        foreach (object? value in good)
            With(value).Invoking(options => options.Validate()).Should().NotThrow($"{option} is {value ?? "null"}");
        foreach (object? value in bad)
            With(value).Invoking(options => options.Validate()).Should()
                .Throw<ArgumentOutOfRangeException>($"{option} is {value ?? "null"}").WithMessage(message);

        TOptions With(object? value)
        {
            var options = new TOptions();
            typeof(TOptions).GetField(option)!.SetValue(options, value);
            return options;
        }
    }
}
