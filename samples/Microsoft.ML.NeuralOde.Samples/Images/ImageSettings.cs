namespace Microsoft.ML.NeuralOde.Samples.Images;

/// <summary>The networks that the command <c>odenet</c> knows.</summary>
internal enum ImageNetworkName
{
    /// <summary>An ODE block behind the convolutions.</summary>
    OdeNet,

    /// <summary>Residual layers in its place.</summary>
    ResNet,

    /// <summary>Nothing in its place.</summary>
    None,
}

/// <summary>What can be chosen for the command <c>odenet</c>.</summary>
internal sealed record ImageSettings
{
    /// <summary>The folder with four files of MNIST's format; <see langword="null"/> looks further.</summary>
    public string? Data { get; init; }

    /// <summary>Takes the embedded digits, whatever else there is.</summary>
    public bool Embedded { get; init; }

    public ImageNetworkName Network { get; init; } = ImageNetworkName.OdeNet;

    /// <summary>Whether the network without a block is trained too.</summary>
    public bool Ablation { get; init; } = true;

    /// <summary><see langword="null"/>: as many as suit the data.</summary>
    public int? Epochs { get; init; }

    public int BatchSize { get; init; } = 128;

    public double LearningRate { get; init; } = 5e-3;

    public int Channels { get; init; } = 64;

    /// <summary>Layers of the ResNet.</summary>
    public int Layers { get; init; } = 6;

    public OdeMethod Solver { get; init; } = OdeMethod.Rk4;

    /// <summary>Its step; 0 for steps by their error, where the method can.</summary>
    public double StepSize { get; init; } = 0.5;

    /// <summary>Pixels by which images are shifted in training.</summary>
    public double Shift { get; init; } = 1;

    /// <summary>Degrees by which they are turned.</summary>
    public double Rotation { get; init; } = 10;

    public int Seed { get; init; } = 1;

    public int? Limit { get; init; }

    public string? Model { get; init; }

    public string? Json { get; init; }

    public string? Checkpoint { get; init; }

    /// <summary>Few images need more passes.</summary>
    public int EpochsFor(int images) => Epochs ?? (images <= 10_000 ? 10 : 5);

    public static ConvolutionalBlock Block(ImageNetworkName network) => network switch
    {
        ImageNetworkName.OdeNet => ConvolutionalBlock.Ode,
        ImageNetworkName.ResNet => ConvolutionalBlock.Residual,
        _ => ConvolutionalBlock.None,
    };
}
