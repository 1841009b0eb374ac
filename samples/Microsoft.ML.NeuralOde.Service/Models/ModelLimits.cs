using Microsoft.ML.NeuralOde.Service.Inputs;
using Microsoft.ML.NeuralOde.Service.Settings;

namespace Microsoft.ML.NeuralOde.Service.Models;

/// <summary>What requests to a model may have, by the size of its rows and the settings.</summary>
/// <param name="RowBytes">Most bytes of the body of a request of one row.</param>
/// <param name="BatchBytes">Most bytes of the body of a request of several.</param>
/// <param name="Rows">Most rows of a request.</param>
/// <param name="Concurrency">Most requests at work at a time.</param>
/// <param name="BodyTime">How long a body may take to come.</param>
internal sealed record ModelLimits(long RowBytes, long BatchBytes, int Rows, int Concurrency, TimeSpan BodyTime)
{
    /// <summary>Room for names, white space and the form's boundaries.</summary>
    private const int Frame = 1 << 12;

    private const int UsualBytes = 1 << 15;
    private const int RequestsPerProcessor = 8;

    public static ModelLimits Of(IReadOnlyList<InputColumn> inputs, ModelSettings model, LimitSettings settings)
    {
        long row = inputs.Sum(input => input.RequestBytes + 2 * input.Name.Length + 16);
        // Files and texts seldom have the most that they may have.
        long usual = inputs.Sum(input => Math.Min(input.RequestBytes, UsualBytes) + 2 * input.Name.Length + 16);
        int rows = (int)Math.Clamp(settings.MaximumBodyBytes / usual, 1, model.MaximumRows);
        // One row has to fit whatever the settings say, or the model could not be asked at all.
        long batch = Math.Max(row, Math.Min(settings.MaximumBodyBytes, rows * row)) + Frame;
        // The body, its values (of which none has less than two bytes in the body), and what one row becomes on its way through the model.
        long memory = inputs.Sum(input => input.MemoryBytes);
        long peak = batch + Math.Min(rows * memory, 4 * batch) + memory;
        long budget = settings.MemoryBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4;
        int most = settings.MaximumConcurrency ?? RequestsPerProcessor * Environment.ProcessorCount;
        return new ModelLimits(row + Frame, batch, rows, (int)Math.Clamp(budget / peak, 1, most), settings.BodyTime);
    }
}
