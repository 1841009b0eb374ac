namespace Microsoft.ML.NeuralOde.Service.Settings;

/// <summary>A setting that makes no sense; the message names it, its value and what would be right.</summary>
internal sealed class SettingsException : Exception
{
    public SettingsException()
    {
    }

    public SettingsException(string message)
        : base(message)
    {
    }

    public SettingsException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
