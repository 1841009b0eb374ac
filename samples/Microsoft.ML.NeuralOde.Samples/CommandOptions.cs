using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace Microsoft.ML.NeuralOde.Samples;

/// <summary>Options that check their values; every message names the option, what was given and what would be right.</summary>
internal static class CommandOptions
{
    /// <summary>A positive, finite number.</summary>
    public static Option<T> Positive<T>(string name, T defaultValue, string description)
        where T : struct, INumber<T> =>
        new(name)
        {
            Description = description,
            DefaultValueFactory = _ =>
            defaultValue,
            CustomParser = result => ParsePositive<T>(name, result)
        };

    /// <summary>A positive whole number that may be left out.</summary>
    public static Option<int?> Positive(string name, string description) =>
        new(name) { Description = description, CustomParser = result => ParsePositive<int>(name, result) };

    /// <summary>
    /// A value that has a name and that another class knows to parse; it throws <see cref="ArgumentException"/> for an unknown one.
    /// </summary>
    public static Option<T> Parsed<T>(
        string name, T defaultValue, IEnumerable<string> names, Func<string, T> parse, string helpName, string description) => new(name)
        {
            HelpName = helpName,
            Description = description,
            DefaultValueFactory = _ => defaultValue,
            CustomParser = result =>
            {
                try
                {
                    return parse(Token(result));
                }
                catch (ArgumentException e)
                {
                    // "(Parameter 'name')" means something to programmers only.
                    string message = e.Message.Replace($" (Parameter '{e.ParamName}')", "", StringComparison.Ordinal);
                    result.AddError($"{name}: {message}{NearMiss.Hint(Token(result), names)}");
                    return defaultValue;
                }
            },
        };

    /// <summary>One of the names of an enumeration, in any case.</summary>
    public static Option<T> Named<T>(string name, T defaultValue, string helpName, string description)
        where T : struct, Enum
    {
        string names = string.Join(", ", Enum.GetNames<T>());
        return Parsed(name, defaultValue, Enum.GetNames<T>(), Parse, helpName, $"{description}: {names}.");

        T Parse(string text) => Enum.GetNames<T>().Contains(text, StringComparer.OrdinalIgnoreCase)
            ? Enum.Parse<T>(text, ignoreCase: true)
            : throw new ArgumentException($"'{text}' is unknown; {names} would be right.");
    }

    /// <summary>A path that may be left out; an empty one, as a script with an unset variable gives it, is refused.</summary>
    public static Option<string?> Path(string name, string helpName, string description)
    {
        var option = new Option<string?>(name) { HelpName = helpName, Description = description };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => string.IsNullOrWhiteSpace(token.Value)))
                result.AddError($"{name} is empty; a path would be right.");
        });
        return option;
    }

    /// <summary>The file of what a command makes: <c>--out</c>, which every command has, or by its kind, as <c>--png</c>.</summary>
    public static Option<string?> Product(string name, string description)
    {
        Option<string?> option = Path(name, "FILE", description);
        option.Aliases.Add("--out");
        return option;
    }

    /// <summary><c>--out</c> of a command that makes nothing but words.</summary>
    public static Option<string?> Copy() => Path("--out", "FILE", "Write what is said to this file as well.");

    /// <summary><c>--json</c>, which every command has.</summary>
    public static Option<string?> Json(string description = "Write the figures to this file.") => Path("--json", "FILE", description);

    /// <summary><c>--seed</c>, which every command has that draws random numbers.</summary>
    public static Option<int> Seed(int defaultValue, string description = "Seed of all randomness.") =>
        new("--seed") { DefaultValueFactory = _ => defaultValue, Description = description };

    /// <summary>The address of a service.</summary>
    public static Option<Uri> Address(string name, string defaultValue, string description)
    {
        var address = new Uri(defaultValue);
        return new Option<Uri>(name)
        {
            HelpName = "URL",
            Description = description,
            DefaultValueFactory = _ => address,
            CustomParser = result =>
            {
                if (Uri.TryCreate(Token(result), UriKind.Absolute, out Uri? uri)
                    && (uri.Scheme == Uri.UriSchemeHttp || uri.Scheme == Uri.UriSchemeHttps))
                    return uri;
                result.AddError($"{name} is '{Token(result)}'; an address such as {defaultValue} would be right.");
                return address;
            },
        };
    }

    /// <summary>A share from 0, for none, to below 1.</summary>
    public static Option<double> Share(string name, double defaultValue, string description) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => defaultValue,
        CustomParser = result => ParseNumber(name, result, value => value is >= 0 and < 1, "a number from 0 to below 1"),
    };

    /// <summary>Shares from 0, for none, to below 1, separated by commas.</summary>
    public static Option<double[]> Shares(string name, double[] defaultValue, string description) => new(name)
    {
        HelpName = "SHARES",
        Description = description,
        DefaultValueFactory = _ => defaultValue,
        CustomParser = result =>
        {
            var shares = new List<double>();
            foreach (string text in Token(result).Split(',', StringSplitOptions.TrimEntries))
            {
                if (double.TryParse(text, CultureInfo.InvariantCulture, out double share) && share is >= 0 and < 1)
                    shares.Add(share);
                else
                    result.AddError($"{name} is '{text}'; a number from 0 to below 1 would be right.");
            }
            return [.. shares];
        },
    };

    /// <summary>Zero or a positive, finite number, that may be left out.</summary>
    public static Option<double?> NotNegative(string name, string description) => new(name)
    {
        Description = description,
        CustomParser = result => ParseNumber(name, result, value => value >= 0 && double.IsFinite(value), "zero or a positive number"),
    };

    private static double ParseNumber(string name, ArgumentResult result, Predicate<double> isRight, string right)
    {
        if (double.TryParse(Token(result), CultureInfo.InvariantCulture, out double value) && isRight(value))
            return value;
        result.AddError($"{name} is '{Token(result)}'; {right} would be right.");
        return 0;
    }

    private static T ParsePositive<T>(string name, ArgumentResult result)
        where T : struct, INumber<T>
    {
        string text = Token(result);
        if (T.TryParse(text, CultureInfo.InvariantCulture, out T value) && T.IsPositive(value) && !T.IsZero(value) && T.IsFinite(value))
            return value;
        string right = typeof(T) == typeof(int) ? "a positive whole number" : "a positive number";
        result.AddError($"{name} is '{text}'; {right} would be right.");
        return default;
    }

    private static string Token(ArgumentResult result) => result.Tokens.Count == 0 ? "" : result.Tokens[0].Value;
}
