using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde;

/// <summary>What the trainers that predict a label have in common: the label, the scores, the network.</summary>
public abstract class NeuralOdePredictorOptions : NeuralOdeTrainerOptions
{
    /// <summary>The label column. Default: “Label”.</summary>
    public string LabelColumnName = DefaultColumnNames.Label;

    /// <summary>The column of the scores. Default: “Score”.</summary>
    public string ScoreColumnName = DefaultColumnNames.Score;

    /// <summary>
    /// Sizes of the encoder's linear layers, with ReLU between them; the last is the size of the ODE's state. Default: 128, 64.
    /// </summary>
    public int[] EncoderLayers = [128, 64];

    /// <summary>
    /// Sizes of the hidden layers of the right-hand side, with tanh after each; of no use where <see cref="Dynamics"/> is set. Default: 64.
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

    /// <summary>The ODE is solved on [0, EndTime]. Default: 1.</summary>
    public double EndTime = 1;

    /// <summary>
    /// Penalties on the kinetic energy of the paths and on the Jacobian of the right-hand side, which keep the equation easy to solve; 0.01
    /// is a good beginning for each. Default: none.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public PathRegularization Regularization = PathRegularization.None;

    /// <summary>
    /// What the squared largest singular values of the right-hand side's weights are multiplied with before they are added to the loss (see
    /// <see cref="SpectralNorm.Penalty"/>); bounds how stiff the equation can become. Default: 0.
    /// </summary>
    [Option(OptionUse.MayChange)]
    public double SpectralNormPenalty;

    internal override NeuralOdeTrainerOptions Clone()
    {
        var copy = (NeuralOdePredictorOptions)base.Clone();
        copy.EncoderLayers = (int[])EncoderLayers?.Clone()!;
        copy.DynamicsLayers = (int[])DynamicsLayers?.Clone()!;
        return copy;
    }

    internal override void Validate()
    {
        base.Validate();
        RequireColumn(LabelColumnName, nameof(LabelColumnName));
        RequireColumn(ScoreColumnName, nameof(ScoreColumnName));
        Require(EncoderLayers is { Length: > 0 } && Array.TrueForAll(EncoderLayers, size => size > 0), nameof(EncoderLayers),
            Join(EncoderLayers), "at least one positive size");
        Require(DynamicsLayers is not null && Array.TrueForAll(DynamicsLayers, size => size > 0), nameof(DynamicsLayers),
            Join(DynamicsLayers), "a list of positive sizes");
        Require(Regularization is not null, nameof(Regularization), Regularization, "a PathRegularization such as PathRegularization.None");
        RequireWeight(Regularization.KineticEnergy, $"{nameof(Regularization)}.{nameof(PathRegularization.KineticEnergy)}");
        RequireWeight(Regularization.JacobianNorm, $"{nameof(Regularization)}.{nameof(PathRegularization.JacobianNorm)}");
        RequireWeight(SpectralNormPenalty, nameof(SpectralNormPenalty));
        ValidateNetwork();
        Require(EndTime != 0 && double.IsFinite(EndTime), nameof(EndTime), EndTime, "a finite number other than zero");
        Require(float.IsFinite((float)EndTime), nameof(EndTime), EndTime, "a number that Single can hold");
    }

    private void ValidateNetwork()
    {
        if (Network?.FindDefect() is { } defect)
            Require(false, $"{nameof(Network)}.{defect.Option}", defect.Found, defect.Expected);
        Require(Network is null || Dynamics is null, nameof(Dynamics), $"'{Dynamics}'",
            $"null where {nameof(Network)} is set, which has a right-hand side of its own");
        if (Network is not ConvolutionalNetwork { Block: not ConvolutionalBlock.Ode and var block })
            return;
        string needless = $"zero where the network's block is {block}: there is no equation to regularise";
        Require(!Regularization.IsActive, nameof(Regularization), Regularization, needless);
        Require(SpectralNormPenalty == 0, nameof(SpectralNormPenalty), SpectralNormPenalty, needless);
    }

    private static string Join(int[]? sizes) => sizes is null ? "null" : $"[{string.Join(", ", sizes)}]";
}
