using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde;

/// <summary>What the trainers that predict a label of a vector of features have in common: the network.</summary>
public abstract class NeuralOdePredictorOptions : NeuralOdeSupervisedOptions
{
    /// <summary>
    /// Sizes of the encoder's linear layers, with ReLU between them; the last is the size of the ODE's state. Default: 128, 64.
    /// </summary>
    public int[] EncoderLayers = [128, 64];

    /// <summary>
    /// Sizes of the hidden layers of the right-hand side, with tanh after each; of no use where <see cref="Dynamics"/> is set. Default:
    /// 64.
    /// </summary>
    public int[] DynamicsLayers = [64];

    /// <summary>
    /// A module of one's own as the right-hand side, instead of the layers of <see cref="DynamicsLayers"/>; see
    /// <see cref="NeuralOdeDynamics.FromModule"/>. Default: null, none.
    /// </summary>
    [Option(OptionUse.Decides, IsLeftOutWhenNull = true)]
    public NeuralOdeDynamics? Dynamics;

    /// <summary>
    /// Another network than linear layers, such as <see cref="ConvolutionalNetwork"/> for images. Default: null, the layers of
    /// <see cref="EncoderLayers"/> and <see cref="DynamicsLayers"/>.
    /// </summary>
    [Option(OptionUse.Decides, IsLeftOutWhenNull = true)]
    public NeuralOdeNetworkOptions? Network;

    /// <summary>
    /// What the layers of <see cref="DynamicsLayers"/> compute: dy/dt, or the acceleration, force or energy of an equation whose state
    /// has a velocity beside each dimension. Default: <see cref="DynamicsForm.FirstOrder"/>.
    /// </summary>
    [Option(OptionUse.Decides, IsLeftOutWhenZero = true)]
    public DynamicsForm DynamicsForm;

    /// <summary>
    /// How many dimensions the equation's state has beyond the encoder's result: in more dimensions paths that would have to cross go past
    /// each other (see <see cref="StateAugmentation"/>). Of images (<see cref="ConvolutionalNetwork"/>) they are channels, of the
    /// equation's state or of that of the residual layers in its place. Default: 0.
    /// </summary>
    [Option(OptionUse.Decides, IsLeftOutWhenZero = true)]
    public int AugmentedDimensions;

    /// <summary>
    /// Whether those dimensions, and the velocities of <see cref="DynamicsForm"/>, begin at a learned linear function of the encoder's
    /// result (of the channels at the same place, for images) instead of zero. Default: false.
    /// </summary>
    [Option(OptionUse.Decides, IsLeftOutWhenZero = true)]
    public bool LearnAugmentation;

    /// <summary>The ODE is solved on [0, EndTime]. Default: 1.</summary>
    public double EndTime = 1;

    /// <summary>
    /// Penalties on the kinetic energy of the paths and on the Jacobian of the right-hand side, which keep the equation easy to solve;
    /// 0.01 is a good beginning for each. Further ones on what the solver estimates of its steps, their errors and stiffness. Default:
    /// none.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public PathRegularization Regularization = PathRegularization.None;

    /// <summary>
    /// What the squared largest singular values of the right-hand side's weights are multiplied with before they are added to the loss
    /// (see
    /// <see cref="SpectralNorm.Penalty"/>); bounds how stiff the equation can become. Default: 0.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public double SpectralNormPenalty;

    /// <summary>
    /// b: in training each batch is solved up to a time drawn evenly from EndTime − b to EndTime + b, which keeps the equation from
    /// becoming stiff at the end (A. Ghosh, H. Behl, E. Dupont, P. Torr, V. Namboodiri, STEER: Simple Temporal Regularization For Neural
    /// ODEs, 2020). Smaller than EndTime. Default: 0, always the end time.
    /// </summary>
    [Option(OptionUse.MayChange, IsLeftOutWhenZero = true)]
    public double EndTimeSpread;

    /// <summary>
    /// Leaves out a look, after the training, whether the model is still the solution of an equation: a sample of the training rows is
    /// scored with tolerances a tenth of <see cref="NeuralOdeTrainerOptions.ProductionTolerances"/>, or half its steps, and a warning is
    /// written where accuracy or loss depend on them (K. Ott, P. Katiyar, P. Hennig, M. Tiemann, ResNet After All? Neural ODEs and Their
    /// Numerical Solution, 2021). Default: false.
    /// </summary>
    [Option(OptionUse.Apart, IsLeftOutWhenZero = true)]
    public bool SkipSolverCheck;

    internal override NeuralOdeTrainerOptions Clone()
    {
        var copy = (NeuralOdePredictorOptions)base.Clone();
        copy.EncoderLayers = (int[])EncoderLayers?.Clone()!;
        copy.DynamicsLayers = (int[])DynamicsLayers?.Clone()!;
        return copy;
    }

    internal override bool CanTightenTolerances => true;

    internal override void Validate()
    {
        base.Validate();
        Require(EncoderLayers is { Length: > 0 } && Array.TrueForAll(EncoderLayers, size => size > 0), nameof(EncoderLayers),
            Join(EncoderLayers), "at least one positive size");
        Require(DynamicsLayers is not null && Array.TrueForAll(DynamicsLayers, size => size > 0), nameof(DynamicsLayers),
            Join(DynamicsLayers), "a list of positive sizes");
        Require(Regularization is not null, nameof(Regularization), Regularization, "a PathRegularization such as PathRegularization.None");
        RequireWeight(Regularization.KineticEnergy, $"{nameof(Regularization)}.{nameof(PathRegularization.KineticEnergy)}");
        RequireWeight(Regularization.JacobianNorm, $"{nameof(Regularization)}.{nameof(PathRegularization.JacobianNorm)}");
        RequireWeight(Regularization.ErrorEstimate, $"{nameof(Regularization)}.{nameof(PathRegularization.ErrorEstimate)}");
        RequireWeight(Regularization.Stiffness, $"{nameof(Regularization)}.{nameof(PathRegularization.Stiffness)}");
        if (Regularization.WhyNot(SolverOptions()) is { } reason)
            throw new ArgumentOutOfRangeException(nameof(Regularization), reason);
        RequireWeight(SpectralNormPenalty, nameof(SpectralNormPenalty));
        ValidateNetwork();
        ValidateState();
        Require(EndTime != 0 && double.IsFinite(EndTime), nameof(EndTime), EndTime, "a finite number other than zero");
        Require(float.IsFinite((float)EndTime), nameof(EndTime), EndTime, "a number that Single can hold");
    }

    private void ValidateState()
    {
        RequireDefined(DynamicsForm, nameof(DynamicsForm));
        Require(AugmentedDimensions is >= 0 and <= NetworkDescription.MostAugmentedDimensions, nameof(AugmentedDimensions), AugmentedDimensions,
            $"from 0 to {NetworkDescription.MostAugmentedDimensions}");
        Require(EndTimeSpread == 0 || (EndTimeSpread > 0 && EndTimeSpread < Math.Abs(EndTime)), nameof(EndTimeSpread), EndTimeSpread,
            $"zero or positive, and below EndTime, which is {Math.Abs(EndTime).ToString(System.Globalization.CultureInfo.InvariantCulture)}");
        bool isEnergy = DynamicsForm is DynamicsForm.Hamiltonian or DynamicsForm.SeparableHamiltonian;
        Require(!isEnergy || DynamicsLayers.Length > 0, nameof(DynamicsLayers), "[]",
            $"at least one size where DynamicsForm is {DynamicsForm}");
        Require(DynamicsForm != DynamicsForm.Hamiltonian || !Solver.IsForSecondOrderSystems, nameof(Solver), $"'{Solver}'",
            "another method where DynamicsForm is Hamiltonian, such as implicit_midpoint; it keeps energies of SeparableHamiltonian alone");
        bool isOwn = Dynamics is not null || Network is not null;
        string own = Dynamics is not null ? nameof(Dynamics) : nameof(Network);
        Require(!isOwn || DynamicsForm == DynamicsForm.FirstOrder, nameof(DynamicsForm), DynamicsForm,
            $"FirstOrder where {own} is set, which has a right-hand side of its own");
        Require(!LearnAugmentation || AugmentedDimensions > 0 || DynamicsForm != DynamicsForm.FirstOrder, nameof(LearnAugmentation),
            LearnAugmentation,
            $"false where {nameof(AugmentedDimensions)} is 0 and {nameof(DynamicsForm)} is FirstOrder: there is nothing to learn");
    }

    private void ValidateNetwork()
    {
        if (Network?.FindDefect() is { } defect)
            Require(false, $"{nameof(Network)}.{defect.Option}", defect.Found, defect.Expected);
        Require(Network is null || Dynamics is null, nameof(Dynamics), $"'{Dynamics}'",
            $"null where {nameof(Network)} is set, which has a right-hand side of its own");
        if (Network is not ConvolutionalNetwork { Block: not ConvolutionalBlock.Ode and var block })
            return;
        Require(block != ConvolutionalBlock.None || AugmentedDimensions == 0, nameof(AugmentedDimensions), AugmentedDimensions,
            $"zero where the network's block is {block}: there is nothing that changes a state");
        Require(EndTimeSpread == 0, nameof(EndTimeSpread), EndTimeSpread,
            $"zero where the network's block is {block}: there is no equation");
        string needless = $"zero where the network's block is {block}: there is no equation to regularise";
        Require(!Regularization.IsActive, nameof(Regularization), Regularization, needless);
        Require(SpectralNormPenalty == 0, nameof(SpectralNormPenalty), SpectralNormPenalty, needless);
    }

    private static string Join(int[]? sizes) => sizes is null ? "null" : $"[{string.Join(", ", sizes)}]";
}
