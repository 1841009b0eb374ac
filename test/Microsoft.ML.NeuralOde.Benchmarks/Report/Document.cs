using System.Globalization;
using System.Text;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Benchmarks.Report;

/// <summary>The comparison as a Markdown document.</summary>
internal static class Document
{
    /// <summary>
    /// A workload's line: name, ours, peer, ratio, Diffrax, ratio, unit, threads, evaluations of both, losses of both.
    /// </summary>
    public static string[] Cells(ComparedWorkload w) =>
    [
        w.Name, Number(w.Ours), Number(w.Peer), Ratio(w.Ratio),
        w.Diffrax is not null && w.DiffraxRatio is null ? $"({Number(w.Diffrax)})" : Number(w.Diffrax), Ratio(w.DiffraxRatio), w.Unit,
        w.PeerDetail is { } peer ? $"{w.OursDetail.Threads} / {peer.Threads}" : $"{w.OursDetail.Threads}",
        Evaluations(w.OursDetail), Evaluations(w.PeerDetail), Loss(w.OursDetail), Loss(w.PeerDetail),
    ];

    /// <summary>Writes the results into a document.</summary>
    public static void Write(string file, Machine machine, IReadOnlyList<ComparedWorkload> results, bool isMnist) =>
        DocumentSection.Write(file, "compare", Table(machine, results, isMnist));

    private static string Table(Machine machine, IReadOnlyList<ComparedWorkload> results, bool isMnist)
    {
        var text = new StringBuilder();
        text.Append(string.Create(CultureInfo.InvariantCulture, $"""
            Measured on {machine.Processor}, {machine.Cores} cores, {machine.System}, {machine.Runtime}, vectors of {machine.VectorBits} bits. Both sides ran in turn on the same
            machine, each with the best of the numbers of threads tried. {(isMnist ? "Images are MNIST." : "Images are random, of MNIST's shape; losses mean nothing.")} Evaluations are those of the
            right-hand side, forward + backward, per solve. A ratio above 1 means that this library is faster. Diffrax's figures in brackets were
            recorded on two cores of another machine, a Xeon with AVX-512 (Diffrax 0.7.2, JAX 0.11.2, compiled), and make no ratio.


            """).ReplaceLineEndings("\n"));
        text.Append(
            "| workload | ours | torchdiffeq | ratio | Diffrax | ratio | unit | threads | evaluations, ours | torchdiffeq | loss, ours | torchdiffeq |\n"
            + "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
        foreach (ComparedWorkload result in results)
            text.Append("| ").AppendJoin(" | ", Cells(result)).Append(" |\n");
        return text.ToString();
    }

    private static string Ratio(double? ratio) => ratio is { } number ? string.Create(CultureInfo.InvariantCulture, $"{number:F2}×") : "–";

    private static string Number(double? value) =>
        value is { } number ? number.ToString(number >= 1000 ? "N0" : "G3", CultureInfo.InvariantCulture) : "–";

    private static string Evaluations(Side? side) => side?.Forward is { } forward
        ? string.Create(CultureInfo.InvariantCulture, $"{forward:0.#}{(side.Backward is { } backward ? $" + {backward:0.#}" : "")}")
        : "–";

    private static string Loss(Side? side) => side?.Loss is { } loss ? loss.ToString("F3", CultureInfo.InvariantCulture) : "–";
}
