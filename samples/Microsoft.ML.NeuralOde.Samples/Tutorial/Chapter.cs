using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial;

/// <summary>A chapter of the tutorial: a program that finds the numbers and draws the figures of its text.</summary>
internal abstract class Chapter(int number, string name, string title)
{
    /// <summary>All chapters in their order.</summary>
    public static IReadOnlyList<Chapter> All { get; } =
    [
        new Chapters.ResidualNetworks(), new Chapters.SolversAndTolerances(), new Chapters.AdjointMethod(), new Chapters.Classifier(),
        new Chapters.Stiffness(),
        new Chapters.BeyondTheState(), new Chapters.Flows(), new Chapters.SeriesModels(), new Chapters.Choosing(),
    ];

    public int Number { get; } = number;

    public string Title { get; } = title;

    /// <summary>For instance “01-from-resnets-to-odes”.</summary>
    public string Name { get; } = $"{number:00}-{name}";

    /// <summary>Finds everything that the text names.</summary>
    public abstract void Run(TutorialPage page, CancellationToken cancellationToken);

    /// <summary>The text with its places.</summary>
    public string Template()
    {
        using Stream text = typeof(Chapter).Assembly.GetManifestResourceStream($"tutorial-{Number:00}.md")!;
        using var reader = new StreamReader(text);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }

    /// <summary>The numbers of a tensor.</summary>
    public static double[] Numbers(Tensor tensor)
    {
        using DisposeScope scope = NewDisposeScope();
        return tensor.detach().to(ScalarType.Float64).cpu().contiguous().data<double>().ToArray();
    }

    /// <summary>Equally spaced numbers.</summary>
    public static double[] Spaced(double first, double last, int count) =>
        [.. Enumerable.Range(0, count).Select(i => first + (last - first) * i / (count - 1))];
}
