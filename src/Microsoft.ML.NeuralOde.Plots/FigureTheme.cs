namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>The colours of a picture. The series of both can be told apart by people with any kind of colour vision.</summary>
public enum FigureTheme
{
    /// <summary>Dark text on white.</summary>
    Light,

    /// <summary>Light text on a dark ground.</summary>
    Dark,
}
