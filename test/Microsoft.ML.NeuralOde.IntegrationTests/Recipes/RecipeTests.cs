namespace Microsoft.ML.NeuralOde.IntegrationTests.Recipes;

public class RecipeTests
{
    /// <summary>Set by build/update-recipes: the page is written instead of compared with.</summary>
    private const string Update = "NEURALODE_UPDATE_RECIPES";

    [Fact]
    public void Every_recipe_is_short_runs_and_prints_what_its_page_says()
    {
        IReadOnlyList<Recipe> recipes = Recipe.All();
        recipes.Should().HaveCountGreaterThanOrEqualTo(30);
        var printed = new Dictionary<Recipe, string>();
        var problems = new List<string>();
        foreach (Recipe recipe in recipes)
        {
            if (recipe.Lines > 25)
                problems.Add($"{recipe.Name} has {recipe.Lines} lines; a recipe has 25 at most.");
            try
            {
                printed[recipe] = recipe.Run();
            }
            catch (Exception problem)
            {
                problems.Add($"{recipe.Name}: {problem.InnerException ?? problem}");
            }
        }
        if (Environment.GetEnvironmentVariable(Update) is not null)
            File.WriteAllText(RecipeDocument.File, RecipeDocument.Write(printed));
        problems.AddRange(printed.Select(pair => RecipeDocument.Difference(RecipeDocument.OutputOf(pair.Key), pair.Value))
            .OfType<string>());
        string.Join("\n\n", problems).Should().BeEmpty();
    }

    [Theory]
    [InlineData("loss 0.500", "loss 0.502", true)]
    [InlineData("loss 0.5", "loss 0.9", false)]
    [InlineData("error 1.0E-7", "error 1.1E-7", true)]
    [InlineData("error 1.0E-7", "error 1.0E-5", false)]
    [InlineData("3 steps", "3 evaluations", false)]
    [InlineData("radau5 12", "radau3 12", false)]
    public void Pages_are_compared_by_words_and_by_size_of_numbers(string page, string now, bool same) =>
        (RecipeDocument.Difference(page, now) is null).Should().Be(same);
}
