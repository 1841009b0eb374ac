namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>The rows of a request: of each, one value a field, in the order of the model's inputs.</summary>
internal sealed class RequestRows : List<object[]>, IDisposable
{
    public void Dispose()
    {
        foreach (object[] row in this)
            foreach (object value in row)
                (value as IDisposable)?.Dispose();
    }
}
