using System.Xml.Linq;
using Microsoft.ML.NeuralOde.Plots;
using SkiaSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Pictures;

[Collection(OwnGenerator.Name)]
public class FigureTests
{
    private static readonly double[] Times = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];

    // A new kind of figure comes under these tests by a line here.
    private static readonly Dictionary<string, Func<Figure>> All = new()
    {
        ["lines"] = () => Figures.Lines("two lines", "time t", "value (m)", [Wave("a"), Wave("b") with { IsReference = true }]),
        ["points"] = () => Figures.Lines("a line and points", "t", "y", [Wave("a"), Wave("b") with { IsScatter = true }]),
        ["logarithms"] = () =>
        Figures.Lines("logarithms", "x", "y", [new Curve("a", [1, 10, 1000], [1e-8, 0, 1])], logX: true, logY: true, markers: true),
        ["training"] = () => Figures.TrainingCurves(History()),
        ["confusion"] = () => Figures.ConfusionMatrix([[5, 1], [0, 7]], ["cat", "dog"]),
        ["intervals"] = () => Figures.SeriesWithIntervals("forecast", Times, Sin(0), Sin(-0.5), Sin(0.5), Wave("seen"), Wave("truth")),
        ["solvers"] = () => Figures.SolverComparison([Run("one", 0.01), Run("two", 0.001)], Math.Sin, "sine"),
        ["tangents"] = () => Figures.EulerTangents((t, h) => -h, 1, [0, 0.5, 1], t => Math.Exp(-t)),
        ["bars"] = () => Figures.SolverBars([Run("one", 0.01), Run("two", 0.001)], Math.Sin),
        ["work"] = () => Figures.WorkPrecision("problem", [new Curve("a", [10, 100], [1e-2, 1e-6])]),
        ["steps"] = Steps,
        ["adjoint"] = Adjoint,
        ["memory"] = () => Figures.MemoryBySteps([new Curve("direct", [10, 100], [1, 10])]),
        ["trajectories"] = () => Figures.Trajectories(States(3, 5, 4), [0, 1, 1, 0, 2], ["a", "b", "c"]),
        ["field"] = () => Figures.VectorField((t, y) => -y, 0, (-1, 1, -1, 1), States(3, 2, 2), [0, 1]),
        ["layers"] = () => Figures.ResNetAgainstOde([0, 1, 2], Times, Sin(0)),
        ["images"] = () => Figures.ImageGrid([.. Enumerable.Range(0, 3).Select(_ => new float[16])], 4, ["1", "2", "3"], ["1", "7", "3"]),
        ["density"] = () => Figures.Density(Normal, States(1, 50, 2)[0], Normal),
        ["flow"] = Flow,
        ["reliability"] = () => Figures.Reliability(Calibration.Of([0.05, 0.55, 0.9, 0.95, 1], [false, true, true, false, true])),
        ["predictions"] = () => Figures.PredictedAgainstTrue([1, 2, 3], [1.1, 1.9, 3.3]),
        ["distributions"] = () =>
        Figures.Distributions("scores", "score", [("a", [1, 2, 3]), ("b", [2, 4, double.NaN])], ("threshold", 2.5)),
        ["several"] = () => Figure.Combine("several", 2, Figures.ConfusionMatrix([[1]]), Figures.MemoryBySteps([Wave("a")])),
    };

    public static TheoryData<string> Names => [.. All.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_figure_is_a_picture_of_its_size_in_both_themes(string name)
    {
        Figure figure = All[name]();
        foreach ((FigureTheme theme, byte ground) in new[] { (FigureTheme.Light, (byte)255), (FigureTheme.Dark, (byte)13) })
        {
            using SKBitmap picture = SKBitmap.Decode(figure.ToPng(theme: theme, scale: 1));
            picture.Width.Should().Be(figure.Width);
            picture.Height.Should().Be(figure.Height);
            picture.GetPixel(1, 1).Red.Should().Be(ground);
            // Neither empty nor full: text and lines are a small part of most pictures.
            SKColor[] pixels = picture.Pixels;
            pixels.Count(pixel => pixel != pixels[0]).Should().BeInRange(pixels.Length / 100, pixels.Length * 9 / 10);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_figure_is_an_svg_whose_text_is_text(string name)
    {
        string svg = All[name]().ToSvg();
        XElement root = XDocument.Parse(svg).Root!;
        root.Name.LocalName.Should().Be("svg");
        root.Descendants().Where(element => element.Name.LocalName == "text").Should().NotBeEmpty();
        svg.Should().NotContain("NaN").And.NotContain("Infinity");
    }

    [Fact]
    public void Titles_labels_and_names_are_there_to_be_found()
    {
        string svg = All["lines"]().ToSvg();
        foreach (string text in (string[])["two lines", "time t", "value (m)", ">a<", ">b<"])
            svg.Should().Contain(text);
    }

    [Fact]
    public void Points_stand_alone_where_a_curve_says_so()
    {
        int line = Shapes(Wave("a")), points = Shapes(Wave("a") with { IsScatter = true });
        (points - line).Should().Be(Times.Length - 1);

        static int Shapes(Curve curve) => XDocument.Parse(Figures.Lines("t", "x", "y", [curve]).ToSvg()).Descendants()
            .Count(element => element.Name.LocalName is "polyline" or "path" or "ellipse" or "circle" or "rect" or "polygon");
    }

    [Fact]
    public void Tolerances_of_a_training_are_drawn_where_they_change()
    {
        Figures.TrainingCurves(History()).ToSvg().Should().Contain(">tolerances<").And.Contain(">relative<").And.Contain(">absolute<");
        NeuralOdeEpochReport[] first = History();
        Figures.TrainingCurves([first[0], first[0]]).ToSvg().Should().NotContain(">tolerances<");
    }

    [Fact]
    public void Text_is_drawn_in_the_font_that_comes_along()
    {
        using Stream font = typeof(Figure).Assembly.GetManifestResourceStream("DejaVuSans.ttf")!;
        using var typeface = SKTypeface.FromStream(font);
        // What the figures of the library and of the tutorial write.
        typeface.ContainsGlyphs("aZ09 .,;:()[]%+−-–—·×÷=≈≠≤≥<>/°µλθεσφπΔΣ∂∫∇√∞‖′″⁻⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉→←∈äöüßéøæ").Should().BeTrue();
        int with = Drawn("a title of some length"), without = Drawn("i");
        (with - without).Should().BeGreaterThan(200);

        static int Drawn(string title)
        {
            using SKBitmap picture = SKBitmap.Decode(Figures.Lines(title, "", "", [Wave("a")]).ToPng(scale: 1));
            return picture.Pixels.Count(pixel => pixel.Red < 128);
        }
    }

    [Fact]
    public void Files_are_written_whole_and_folders_made()
    {
        string folder = Directory.CreateTempSubdirectory("neural-ode-figures-").FullName;
        try
        {
            Figure figure = All["lines"]();
            string png = Path.Combine(folder, "new", "a.png"), svg = Path.Combine(folder, "a.svg");
            figure.SavePng(png, 300, 200, scale: 1.5);
            figure.SaveSvg(svg, 300, 200, FigureTheme.Dark);
            using SKBitmap picture = SKBitmap.Decode(png);
            (picture.Width, picture.Height).Should().Be((450, 300));
            XDocument.Load(svg).Root!.Attribute("width")!.Value.Should().StartWith("300");
            Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Should().HaveCount(2);
            figure.Invoking(f => f.SavePng(folder)).Should().Throw<IOException>().WithMessage("*is a folder*");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public static TheoryData<string> WrongUses => [.. Wrong.Keys];

    private static readonly Dictionary<string, (Action Act, string Message)> Wrong = new()
    {
        ["no curves"] = (() => Figures.Lines("", "", "", []), "*no curves*"),
        ["lengths"] = (() => Figures.Lines("", "", "", [new Curve("bent", [1, 2], [1])]), "*'bent' has 2 places and 1 values*"),
        ["empty curve"] = (() => Figures.Lines("", "", "", [new Curve("none", [], [])]), "*'none' is empty*"),
        ["infinite place"] = (() => Figures.Lines("", "", "", [new Curve("far", [double.PositiveInfinity], [1])]), "*NaN or infinite*"),
        ["nothing finite"] = (() => Figures.Lines("", "", "", [new Curve("gap", [1], [double.NaN])]), "*no finite value*"),
        ["no epochs"] = (() => Figures.TrainingCurves([]), "*no epochs*"),
        ["not square"] = (() => Figures.ConfusionMatrix([[1, 2]]), "*square*"),
        ["negative count"] = (() => Figures.ConfusionMatrix([[-1]]), "*negative*"),
        ["names"] = (() => Figures.ConfusionMatrix([[1]], ["a", "b"]), "*2 names for 1 classes*"),
        ["one time"] = (() => Figures.EulerTangents((t, h) => h, 1, [0], t => t), "*at least two*"),
        ["times fall"] = (() => Figures.EulerTangents((t, h) => h, 1, [1, 0], t => t), "*increasing*"),
        ["no steps"] = (() => Figures.StepSizes([("idle", new StepLog())]), "*'idle' holds no step*"),
        ["states shape"] = (() => Figures.Trajectories(zeros(2, 2), [0, 0]), "*times, rows, features*"),
        ["states NaN"] = (() => Figures.Trajectories(full([2, 1, 3], double.NaN), [0]), "*NaN*"),
        ["classes"] = (() => Figures.Trajectories(zeros(2, 2, 3), [0]), "*1 classes for 2 rows*"),
        ["class without name"] = (() => Figures.Trajectories(zeros(2, 1, 3), [1], ["a"]), "*no name*"),
        ["empty window"] = (() => Figures.VectorField((t, y) => y, 0, (1, 1, 0, 1)), "*empty*"),
        ["field shape"] = (() => Figures.VectorField((t, y) => y.sum(1), 0, (0, 1, 0, 1)), "*same shape*"),
        ["paths"] = (() => Figures.VectorField((t, y) => y, 0, (0, 1, 0, 1), zeros(2, 1, 3)), "*3 components*"),
        ["image sizes"] = (() => Figures.ImageGrid([new float[4], new float[6]], 2), "*same number of pixels*"),
        ["image labels"] = (() => Figures.ImageGrid([new float[4]], 2, ["a", "b"]), "*2 labels for 1 images*"),
        ["data shape"] = (() => Figures.Density(Normal, zeros(3, 3)), "*must be ?rows, 2?*"),
        ["density shape"] = (() => Figures.Density(x => x, rand(3, 2)), "*density returns*"),
        ["theme"] = (() => All["lines"]().ToPng(theme: (FigureTheme)7), "*Light or Dark*"),
        ["size"] = (() => All["lines"]().ToPng(width: 0), "*from 100 to*"),
        ["huge"] = (() => All["lines"]().ToSvg(height: 1_000_000), "*from 100 to*"),
        ["scale"] = (() => All["lines"]().ToPng(scale: double.NaN), "*from 0.1 to 10*"),
        ["combine nothing"] = (() => Figure.Combine("", 2), "*No figures*"),
        ["predictions NaN"] = (() => Figures.PredictedAgainstTrue([double.NaN], [1]), "*NaN or infinite*"),
        ["no kinds"] = (() => Figures.Distributions("", "", []), "*no kinds*"),
        ["nothing in a kind"] = (() => Figures.Distributions("", "", [("gap", [double.NaN])]), "*'gap' hold no finite*"),
        ["no probabilities"] = (() => Calibration.Of([], []), "*no probabilities*"),
        ["outcomes"] = (() => Calibration.Of([0.5], []), "*0 outcomes for 1 probabilities*"),
        ["no probability"] = (() => Calibration.Of([1.5], [true]), "*not from 0 to 1*"),
        ["bins"] = (() => Calibration.Of([0.5], [true], 0), "*must be a non-negative and non-zero value*"),
        ["three dimensions"] = (() => { using var flow = new ContinuousFlow(3); Figures.Flow(flow, rand(5, 2)); }, "*must have 2 and 0*"),
    };

    [Theory]
    [MemberData(nameof(WrongUses))]
    public void Data_that_cannot_be_drawn_are_refused_by_name(string use)
    {
        using var scope = NewDisposeScope();
        Wrong[use].Act.Should().Throw<ArgumentException>().WithMessage(Wrong[use].Message);
    }

    [Fact]
    public void A_log_of_steps_holds_them_all_and_they_fill_the_interval()
    {
        using var scope = NewDisposeScope();
        var log = new StepLog();
        using OdeSolution solution = Ode.Solve((t, y) => -30 * (y - t.sin()), tensor(new[] { 5.0 }), tensor(new[] { 1.0, 2.0, 4.0 }),
            new OdeSolverOptions { Progress = log, FirstStep = 0.9 });
        log.Steps.Should().HaveCount((int)solution.Statistics.AcceptedSteps);
        log.RejectedTimes.Should().HaveCount((int)solution.Statistics.RejectedSteps).And.NotBeEmpty();
        log.Steps[0].Time.Should().Be(1);
        log.Steps.Sum(step => step.Size).Should().BeApproximately(3, 1e-12);
        log.Steps.Max(step => step.Size).Should().BeApproximately(solution.Statistics.LargestStep, 1e-12);
    }

    private static double[] Sin(double shift) => [.. Times.Select(t => Math.Sin(t) + shift)];

    private static Curve Wave(string name) => new(name, Times, Sin(0.1));

    private static SolverRun Run(string name, double error) =>
        new(name, Times, [.. Times.Select(t => Math.Sin(t) + error * (1 + t))], 10, 1);

    private static NeuralOdeEpochReport[] History() =>
    [
        .. Enumerable.Range(1, 3).Select(i => new NeuralOdeEpochReport
        {
            Epoch = i, NumberOfEpochs = 3, TrainLoss = 1.0 / i, ValidationLoss = 1.5 / i, MetricName = "accuracy",
            TrainMetric = 1 - 0.5 / i,
            ValidationMetric = 1 - 0.6 / i, NfeForward = 14, NfeBackward = 20, LearningRate = 1e-3 / i,
            Tolerances = new SolverTolerances(1e-3 / i, 1e-4 / i),
        }),
    ];

    private static Tensor States(params long[] shape)
    {
        random.manual_seed(1);
        return randn(shape);
    }

    private static Tensor Normal(Tensor x) => -0.5 * x.square().sum([1L]);

    private static Figure Steps()
    {
        using var scope = NewDisposeScope();
        var log = new StepLog();
        Ode.Solve((t, y) => -y, tensor(new[] { 1.0 }), tensor(new[] { 0.0, 3.0 }), new OdeSolverOptions { Progress = log }).Dispose();
        return Figures.StepSizes([("dopri5", log)]);
    }

    private static Figure Adjoint()
    {
        using var scope = NewDisposeScope();
        Tensor rate = tensor(-1.0, requires_grad: true);
        using AdjointSolution adjoint = Ode.SolveAdjoint(
            (t, y) => rate * y, tensor(new[] { 1.0, 2.0 }), linspace(0, 1, 21, ScalarType.Float64), y => y.square().sum(),
            parameters: [("rate", rate)]);
        return Figures.AdjointPath(adjoint);
    }

    private static Figure Flow()
    {
        using var scope = NewDisposeScope();
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8] });
        return Figures.Flow(flow, States(1, 40, 2)[0]);
    }
}
