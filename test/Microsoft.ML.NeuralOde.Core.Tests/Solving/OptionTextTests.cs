using System.Globalization;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>What options, gradient methods and blocks say of themselves, in logs and debuggers.</summary>
public class OptionTextTests
{
    [Fact]
    public void Options_name_the_method_its_accuracy_and_what_is_not_at_its_default()
    {
        new OdeSolverOptions().ToString().Should().Be("dopri5, rtol 1e-05, atol 1e-06");
        new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.1 }.ToString().Should().Be("rk4, steps of 0.1");
        new OdeSolverOptions { Method = OdeMethod.Euler }.ToString().Should().Be("euler, one step from each output time to the next");
        new OdeSolverOptions
        {
            RelativeTolerance = 0.001,
            PerRow = true,
            MaximumSteps = 7,
            Discontinuities = [0.5],
            Norm = ErrorNorm.Maximum,
            Gradient = GradientMethod.Adjoint(OdeMethod.Radau5, 1e-3),
        }.ToString().Should().Be(
            "dopri5, rtol 0.001, atol 1e-06, norm max, at most 7 steps, steps of its own for each row, 1 discontinuity, gradient adjoint (method radau5, rtol 0.001)");
    }

    [Fact]
    public void Every_option_that_is_changed_shows()
    {
        var defaults = new OdeSolverOptions();
        using Tensor ones = torch.ones(1);
        OdeSolverOptions[] changed =
        [
            defaults with { Method = OdeMethod.Tsit5 }, defaults with { RelativeTolerance = 0.1 },
            defaults with { AbsoluteTolerance = 0.1 },
            defaults with { RelativeTolerances = ones }, defaults with { AbsoluteTolerances = ones },
            defaults with { Norm = ErrorNorm.Maximum },
            defaults with { Controller = StepController.ProportionalIntegral() },
            defaults with { Controller = StepController.Predictive(0.8) },
            defaults with { StepSize = 2 }, defaults with { FirstStep = 2 }, defaults with { MinimumStep = 2 },
            defaults with { MaximumStep = 2 },
            defaults with { MaximumSteps = 2 }, defaults with { OnStepLimit = StepLimitBehavior.ReturnPartial },
            defaults with { PerRow = true },
            defaults with { Discontinuities = [1] }, defaults with { Discontinuities = [1, 2] }, defaults with { Jacobian = (_, y) => y },
            defaults with { Gradient = GradientMethod.Direct() }, defaults with { Gradient = GradientMethod.Reversible() },
            defaults with { LowerLayers = false },
        ];
        changed.Append(defaults).Select(options => options.ToString()).Should().OnlyHaveUniqueItems();
        foreach (OdeMethod method in OdeMethod.All)
            (defaults with { Method = method }).ToString().Should().StartWith($"{method.Name}, ");
    }

    [Fact]
    public void Gradient_methods_with_defaults_say_their_name_alone_by_which_they_are_parsed()
    {
        foreach (GradientMethod method in new[] { GradientMethod.Direct(), GradientMethod.Adjoint(), GradientMethod.Checkpointed(),
            GradientMethod.Reversible() })
            GradientMethod.Parse(method.ToString()).Name.Should().Be(method.ToString());
        GradientMethod.Adjoint(absoluteTolerance: 1e-9).ToString().Should().Be("adjoint (atol 1e-09)");
        GradientMethod.Checkpointed(1).ToString().Should().Be("checkpointed (1 checkpoint)");
        GradientMethod.Checkpointed(4, 1 << 20).ToString().Should().Be("checkpointed (4 checkpoints, 1048576 bytes for evaluations)");
    }

    [Fact]
    public void Blocks_say_what_is_solved_and_how_in_every_culture()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            var comma = (CultureInfo)CultureInfo.InvariantCulture.Clone();
            comma.NumberFormat.NumberDecimalSeparator = ",";
            CultureInfo.CurrentCulture = comma;
            using var block =
                new OdeBlock(new DenseDynamics(2, [16]), 1.5, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.25 });
            block.ToString().Should().Be("OdeBlock(DenseDynamics(2, 16, 2; Tanh; time Add), t from 0 to 1.5, rk4, steps of 0.25)");
            using var images = new OdeBlock(new ConvolutionalDynamics(8));
            images.ToString().Should()
                .StartWith("OdeBlock(ConvolutionalDynamics(8 channels, ").And.EndWith("t from 0 to 1, dopri5, rtol 1e-05, atol 1e-06)");
            using var own = new OdeBlock(new Decay());
            own.ToString().Should().Be("OdeBlock(Decay, t from 0 to 1, dopri5, rtol 1e-05, atol 1e-06)");
            new ContinuousFlowOptions().ToString().Should()
                .StartWith("hidden [64, 64, 64], Tanh, time ConcatSquash, 1 block, trace auto, solver dopri5, rtol 1e-05, atol 1e-07");
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    private sealed class Decay() : nn.Module<Tensor, Tensor, Tensor>(nameof(Decay))
    {
        public override Tensor forward(Tensor t, Tensor y) => -y;
    }
}
