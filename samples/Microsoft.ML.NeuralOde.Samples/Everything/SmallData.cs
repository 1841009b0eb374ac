using System.Globalization;
using System.Text;

namespace Microsoft.ML.NeuralOde.Samples.Everything;

/// <summary>Small data for the commands that come without any.</summary>
internal static class SmallData
{
    /// <summary>Points on a circle, some beside it.</summary>
    public static string Anomalies(string file)
    {
        var random = new Random(1);
        var text = new StringBuilder("x,y,label\n");
        for (int i = 0; i < 300; i++)
        {
            bool isStrange = i % 30 == 0;
            double angle = 2 * Math.PI * random.NextDouble(), radius = isStrange ? 0.2 : 1 + 0.05 * random.NextDouble();
            text.Append(
                CultureInfo.InvariantCulture, $"{radius * Math.Cos(angle):F4},{radius * Math.Sin(angle):F4},{(isStrange ? 1 : 0)}\n");
        }
        File.WriteAllText(file, text.ToString());
        return file;
    }

    /// <summary>Three kinds of things with a measure and a count each.</summary>
    public static string Table(string file)
    {
        var random = new Random(1);
        var text = new StringBuilder("kind,length,count\n");
        for (int i = 0; i < 300; i++)
        {
            int kind = random.Next(3);
            text.Append(CultureInfo.InvariantCulture, $"{"abc"[kind]},{kind + random.NextDouble():F3},{random.Next(2 * kind + 2)}\n");
        }
        File.WriteAllText(file, text.ToString());
        return file;
    }

    /// <summary>Waves of different length, slow ones and fast ones.</summary>
    public static string Series(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach ((string part, int seed) in new[] { ("TRAIN", 1), ("TEST", 2) })
        {
            var random = new Random(seed);
            var text = new StringBuilder("@problemName Waves\n@univariate true\n@classLabel true slow fast\n@data\n");
            for (int i = 0; i < 40; i++)
            {
                double phase = 6 * random.NextDouble(), speed = i % 2 == 0 ? 0.3 : 1.2;
                text.AppendJoin(',',
                    Enumerable.Range(0, random.Next(16, 24))
                    .Select(t => Math.Sin(phase + speed * t).ToString("F4", CultureInfo.InvariantCulture)))
                    .Append(i % 2 == 0 ? ":slow\n" : ":fast\n");
            }
            File.WriteAllText(Path.Combine(folder, $"Waves_{part}.ts"), text.ToString());
        }
        return folder;
    }
}
