using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Datasets;

/// <summary>One series of a file of format .ts.</summary>
/// <param name="Times">Its times; empty where the file has none.</param>
/// <param name="Values">Its values, <c>[times, channels]</c>, NaN where one is missing.</param>
/// <param name="Class">The key of its class, from 1; 0 where it is missing.</param>
/// <param name="Target">The number to be predicted; NaN where it is missing.</param>
internal sealed record TsSeries(double[] Times, float[] Values, uint Class, float Target);

/// <summary>
/// A file of the format .ts, in which the archives of time series classification and regression (UCR, UEA, TSER) are distributed: tags with
/// a sign @ in front, and one series a line, its channels and its label parted by colons.
/// </summary>
internal sealed class TsFile
{
    private static readonly string[] Tags =
        ["@problemname", "@timestamps", "@missing", "@univariate", "@dimensions", "@dimension", "@equallength", "@serieslength",
            "@classlabel",
            "@targetlabel", "@data"];

    private readonly SeriesFile _file;
    private int? _channels;
    private int? _length;
    private bool _isEqualLength;
    private bool? _isUnivariate;
    private bool _hasTarget;
    private string[]? _classes;
    private Dictionary<string, uint> _classKeys = [];

    private TsFile(string path)
    {
        _file = new SeriesFile(path);
    }

    /// <summary>Whether each value has its time.</summary>
    public bool HasTimes { get; private set; }

    /// <summary>The number of channels.</summary>
    public int ChannelCount => _channels ?? 1;

    /// <summary>Reads what stands in front of the data, and the first series, and opens the file as a data view.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not of this format; the message names the line.</exception>
    public static IDataView Open(string path)
    {
        var file = new TsFile(path);
        file.ReadHeader();
        var columns = new List<RecordColumn<TsSeries>>();
        if (file.HasTimes)
            columns.Add(RecordColumn<TsSeries>.Vector(SeriesAnnotations.Times, NumberDataViewType.Double, series => series.Times));
        columns.Add(RecordColumn<TsSeries>.Vector(
            SeriesAnnotations.Values, NumberDataViewType.Single, series => series.Values, SeriesAnnotations.Of(file.ChannelCount)));
        if (file._classes is { } classes)
            columns.Add(RecordColumn<TsSeries>.Of(
                DefaultColumnNames.Label, new KeyDataViewType(typeof(uint), classes.Length), series => series.Class, KeyValues(classes)));
        if (file._hasTarget)
            columns.Add(RecordColumn<TsSeries>.Of(DefaultColumnNames.Label, NumberDataViewType.Single, series => series.Target));
        return new RecordView<TsSeries>(file.Read, columns);
    }

    private static DataViewSchema.Annotations KeyValues(string[] classes)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        ReadOnlyMemory<char>[] values = [.. classes.Select(name => name.AsMemory())];
        builder.AddKeyValues<ReadOnlyMemory<char>>(values.Length, TextDataViewType.Instance, (ref VBuffer<ReadOnlyMemory<char>> target) =>
        {
            VBufferEditor<ReadOnlyMemory<char>> editor = VBufferEditor.Create(ref target, values.Length);
            values.CopyTo(editor.Values);
            target = editor.Commit();
        });
        return builder.ToAnnotations();
    }

    private void ReadHeader()
    {
        bool hasData = false;
        foreach ((int line, string text) in _file.Lines())
        {
            if (hasData)
            {
                // Some files leave the number of channels to their first series.
                _channels ??= _isUnivariate == true ? 1 : Split(line, text).Count - (_classes is not null || _hasTarget ? 1 : 0);
                return;
            }
            if (text[0] != '@')
                throw _file.Wrong(line, $"'{SeriesFile.Shorten(text)}' stands before @data; a tag such as @timeStamps would be right");
            hasData = ReadTag(line, text);
        }
        throw _file.Wrong(hasData ? "there is no series behind @data" : "there is no line @data; this is no file of the format .ts");
    }

    /// <summary>Reads a tag; true for the last one.</summary>
    private bool ReadTag(int line, string text)
    {
        string[] words = text.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        string tag = words[0].ToLowerInvariant();
        if (!Tags.Contains(tag))
            throw _file.Wrong(line, $"the tag {SeriesFile.Shorten(words[0])} is not known; known are {string.Join(", ", Tags)}");
        if (tag == "@data")
            return true;
        if (words.Length == 1)
            throw _file.Wrong(line, $"the tag {words[0]} has no value");
        switch (tag)
        {
            case "@timestamps":
                HasTimes = _file.ReadBoolean(line, words[0], words[1]);
                break;
            case "@univariate":
                _isUnivariate = _file.ReadBoolean(line, words[0], words[1]);
                if (_isUnivariate == true && _channels > 1)
                    throw _file.Wrong(line, $"{words[0]} is true, but there are {_channels} dimensions");
                break;
            case "@dimension" or "@dimensions":
                _channels = _file.ReadCount(line, words[0], words[1]);
                if (_isUnivariate == true && _channels > 1)
                    throw _file.Wrong(line, $"{words[0]} is {_channels}, but @univariate is true");
                break;
            case "@equallength":
                _isEqualLength = _file.ReadBoolean(line, words[0], words[1]);
                break;
            case "@serieslength":
                _length = _file.ReadCount(line, words[0], words[1]);
                break;
            case "@targetlabel":
                _hasTarget = _file.ReadBoolean(line, words[0], words[1]);
                break;
            case "@classlabel" when _file.ReadBoolean(line, words[0], words[1]):
                _classes = words[2..];
                if (_classes.Length == 0)
                    throw _file.Wrong(line, $"{words[0]} names no classes; their names would be right behind 'true'");
                if (_classes.Length != _classes.Distinct().Count())
                    throw _file.Wrong(line, $"{words[0]} names a class twice");
                _classKeys = _classes.Select((name, i) => (name, i)).ToDictionary(pair => pair.name, pair => (uint)pair.i + 1);
                break;
        }
        if (_classes is not null && _hasTarget)
            throw _file.Wrong(line, "there are both @classLabel and @targetLabel; a series has one label");
        return false;
    }

    private IEnumerable<TsSeries> Read()
    {
        bool isData = false;
        int? length = _length;
        foreach ((int line, string text) in _file.Lines())
        {
            if (!isData)
            {
                isData = text.Equals("@data", StringComparison.OrdinalIgnoreCase);
                continue;
            }
            TsSeries series = Parse(line, text);
            int found = series.Values.Length / ChannelCount;
            if (_isEqualLength && !HasTimes && found != (length ??= found))
                throw _file.Wrong(line, $"the series has {found} values a channel where {length} are announced: @equalLength is true");
            yield return series;
        }
    }

    private TsSeries Parse(int line, string text)
    {
        List<Range> parts = Split(line, text);
        int labels = _classes is not null || _hasTarget ? 1 : 0;
        if (parts.Count != ChannelCount + labels)
            throw _file.Wrong(line,
                $"there are {parts.Count} parts between colons; {ChannelCount} channels{(labels == 1 ? " and a label" : "")} would be right");
        (uint key, float target) = labels == 1 ? ReadLabel(line, text.AsSpan(parts[^1]).Trim()) : (0u, float.NaN);
        var channels = new List<(double Time, float Value)>[ChannelCount];
        for (int i = 0; i < channels.Length; i++)
            channels[i] = HasTimes ? ReadTimed(line, text.AsSpan(parts[i]), i) : ReadPlain(line, text.AsSpan(parts[i]), i);
        (double[] times, float[] values) = Join(channels);
        return times.Length == 0
            ? throw _file.Wrong(line, "the series has no values") : new TsSeries(HasTimes ? times : [], values, key, target);
    }

    private (uint Class, float Target) ReadLabel(int line, ReadOnlySpan<char> label)
    {
        if (label is "?")
            return (0u, float.NaN);
        if (_classes is not null)
            return _classKeys.TryGetValue(label.ToString(), out uint key)
                ? (key, float.NaN)
                : throw _file.Wrong(line, $"the class '{SeriesFile.Shorten(label)}' is none of {string.Join(", ", _classes)}");
        return float.TryParse(label, NumberStyles.Float, CultureInfo.InvariantCulture, out float target) && float.IsFinite(target)
            ? (0u, target)
            : throw _file.Wrong(line, $"the label is '{SeriesFile.Shorten(label)}'; a number would be right");
    }

    private List<(double Time, float Value)> ReadPlain(int line, ReadOnlySpan<char> text, int channel)
    {
        var found = new List<(double, float)>();
        if (text.IsWhiteSpace())
            return found;
        foreach (Range part in text.Split(','))
            found.Add((found.Count, _file.ReadValue(line, text[part], found.Count, channel)));
        return found;
    }

    private List<(double Time, float Value)> ReadTimed(int line, ReadOnlySpan<char> text, int channel)
    {
        var found = new List<(double Time, float Value)>();
        text = text.Trim();
        while (text.Length > 0)
        {
            int end = text.IndexOf(')');
            int comma = end < 0 ? -1 : text[..end].LastIndexOf(',');
            if (text[0] != '(' || comma < 0)
                throw _file.Wrong(
                    line, $"channel {channel + 1} has '{SeriesFile.Shorten(text)}'; (time,value) would be right: @timeStamps is true");
            double time = ReadTime(line, text[1..comma].Trim(), found.Count, channel);
            if (found.Count > 0 && !(time > found[^1].Time))
                throw _file.Wrong(line, string.Create(CultureInfo.InvariantCulture,
                    $"time {found.Count + 1} of channel {channel + 1} is {time}, after {found[^1].Time}; times must increase"));
            found.Add((time, _file.ReadValue(line, text[(comma + 1)..end], found.Count, channel)));
            text = text[(end + 1)..].TrimStart();
            if (text.Length > 0)
                text = text[0] == ',' && text.Length > 1
                    ? text[1..].TrimStart()
                    : throw _file.Wrong(
                        line, $"channel {channel + 1} has '{SeriesFile.Shorten(text)}' where a comma and (time,value) would be right");
        }
        return found;
    }

    private double ReadTime(int line, ReadOnlySpan<char> text, int place, int channel)
    {
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number))
            return number;
        if (DateTime.TryParse(
            text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out DateTime date))
            return (date - DateTime.UnixEpoch).TotalSeconds;
        throw _file.Wrong(line,
            $"time {place + 1} of channel {channel + 1} is '{SeriesFile.Shorten(text)}'; a finite number or a date would be right");
    }

    /// <summary>The channels at the times of all of them: what a channel does not have is missing.</summary>
    private static (double[] Times, float[] Values) Join(List<(double Time, float Value)>[] channels)
    {
        List<(double Time, float Value)> longest = channels.MaxBy(channel => channel.Count)!;
        double[] times = Array.TrueForAll(channels, channel => channel.Zip(longest).All(pair => pair.First.Time == pair.Second.Time))
            ? [.. longest.Select(pair => pair.Time)]
            : [.. channels.SelectMany(channel => channel.Select(pair => pair.Time)).Distinct().Order()];
        float[] values = new float[times.Length * channels.Length];
        for (int c = 0; c < channels.Length; c++)
        {
            int next = 0;
            for (int i = 0; i < times.Length; i++)
                values[i * channels.Length + c] =
                    next < channels[c].Count && channels[c][next].Time == times[i] ? channels[c][next++].Value : float.NaN;
        }
        return (times, values);
    }

    /// <summary>The parts of a line between colons; those inside of brackets, in times of day, part nothing.</summary>
    private List<Range> Split(int line, string text)
    {
        var parts = new List<Range>();
        int start = 0, depth = 0;
        for (int i = 0; i < text.Length; i++)
        {
            depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
            if (depth is < 0 or > 1)
                throw _file.Wrong(line, $"the bracket at character {i + 1} has no partner");
            if (text[i] != ':' || depth > 0)
                continue;
            parts.Add(start..i);
            start = i + 1;
        }
        if (depth > 0)
            throw _file.Wrong(line, "a bracket is not closed");
        parts.Add(start..text.Length);
        return parts;
    }
}
