using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Recipes;

/// <summary>docs/recipes/README.md: each recipe with what it prints.</summary>
internal static partial class RecipeDocument
{
    private static readonly string[] Groups = ["equations", "layers", "tables", "densities", "series", "production"];

    public static string File { get; } = Path.Combine(Recipe.Folder, "README.md");

    public static string Write(IReadOnlyDictionary<Recipe, string> printed)
    {
        var text = new StringBuilder("""
            # Recipes

            Programs of one file, each with what it prints. In the repository:

                dotnet run -c Release docs/recipes/equations/01-solve.cs

            Elsewhere, take the line `#:project` out and put in the packages that it stands for, with a libtorch for your system:

                #:package Microsoft.ML.NeuralOde@0.1.0
                #:package libtorch-cpu-linux-x64@2.10.0

            (`libtorch-cpu-win-x64` on Windows, `libtorch-cpu-osx-arm64` on a Mac; `Microsoft.ML.NeuralOde.Core` or
            `Microsoft.ML.NeuralOde.Onnx` where the line names that project.) A test compiles and runs all of them and compares what they
            print with this page, which `build/update-recipes` writes.

            """);
        foreach (string group in Groups)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n## {char.ToUpperInvariant(group[0])}{group[1..]}\n");
            foreach ((Recipe recipe, string output) in printed.Where(
                pair => pair.Key.Name.StartsWith(group + "/", StringComparison.Ordinal))
                .OrderBy(pair => pair.Key.Name, StringComparer.Ordinal))
                text.Append(CultureInfo.InvariantCulture,
                    $"\n### [{recipe.Title}]({recipe.Name})\n\n{Capitalized(recipe.Sentence)}\n\n```text\n{output}\n```\n");
        }
        return text.ToString();

        // Formulas begin as they are written.
        static string Capitalized(string sentence) =>
            char.IsLetter(sentence[1]) || sentence[1] == ' ' ? char.ToUpperInvariant(sentence[0]) + sentence[1..] : sentence;
    }

    /// <summary>What the page says that a recipe prints.</summary>
    public static string OutputOf(Recipe recipe)
    {
        string page = System.IO.File.ReadAllText(File);
        Match found = Regex.Match(page, $@"\({Regex.Escape(recipe.Name)}\)\n\n[^\n]*\n\n```text\n(.*?)\n```", RegexOptions.Singleline);
        return found.Success
            ? found.Groups[1].Value : throw new InvalidDataException($"{recipe.Name} is not in {File}; build/update-recipes writes it.");
    }

    /// <summary>
    /// The same words, and numbers that differ by no more than a fifth or two units of their last digit: another processor rounds
    /// otherwise.
    /// </summary>
    public static string? Difference(string page, string now)
    {
        string[] before = Numbers().Split(page), after = Numbers().Split(now);
        if (!before.SequenceEqual(after))
            return $"The page has\n{page}\nand the program prints\n{now}";
        foreach ((Match old, Match young) in Numbers().Matches(page).Zip(Numbers().Matches(now)))
        {
            double x = Value(old), y = Value(young);
            if (Math.Abs(x - y) > Math.Max(0.2 * Math.Abs(x), 2 * Unit(old)))
                return $"The page has {old.Value} where the program prints {young.Value}:\n{now}";
        }
        return null;

        static double Value(Match number) => double.Parse(number.Value, CultureInfo.InvariantCulture);
        static double Unit(Match number)
        {
            string digits = number.Value.Split('E', 'e')[0];
            int point = digits.IndexOf('.');
            double unit = Math.Pow(10, point < 0 ? 0 : -(digits.Length - point - 1));
            return number.Value.Length == digits.Length
                ? unit : unit * Math.Pow(10, int.Parse(number.Value[(digits.Length + 1)..], CultureInfo.InvariantCulture));
        }
    }

    [GeneratedRegex(@"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w])")]
    private static partial Regex Numbers();
}
