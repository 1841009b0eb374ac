using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Datasets;

/// <summary>One series of a file of format .tsf.</summary>
/// <param name="Attributes">What the file says of the series: texts, numbers and dates.</param>
/// <param name="Values">Its values, NaN where one is missing.</param>
internal sealed record TsfSeries(object[] Attributes, float[] Values);

/// <summary>
/// A file of the format .tsf, in which the Monash archive of series for forecasting is distributed: tags with a sign @ in front, and one
/// series a line, its attributes and its values parted by colons.
/// </summary>
internal sealed class TsfFile
{
    private static readonly string[] DateFormats = ["yyyy-MM-dd HH-mm-ss", "yyyy-MM-dd HH-mm-ss.FFF", "yyyy-MM-dd"];

    private readonly SeriesFile _file;
    private readonly List<(string Name, DataViewType Type)> _attributes = [];
    private string? _frequency;
    private int? _horizon;
    private bool _isEqualLength;

    private TsfFile(string path)
    {
        _file = new SeriesFile(path);
    }

    /// <summary>Reads what stands in front of the data, and opens the file as a data view.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not of this format; the message names the line.</exception>
    public static IDataView Open(string path)
    {
        var file = new TsfFile(path);
        file.ReadHeader();
        List<RecordColumn<TsfSeries>> columns = [.. file._attributes.Select(Column)];
        columns.Add(RecordColumn<TsfSeries>.Vector(
            SeriesAnnotations.Values, NumberDataViewType.Single, series => series.Values,
            SeriesAnnotations.Of(1, file._frequency, file._horizon)));
        return new RecordView<TsfSeries>(file.Read, columns);
    }

    private static RecordColumn<TsfSeries> Column((string Name, DataViewType Type) attribute, int place) => attribute.Type switch
    {
        TextDataViewType =>
            RecordColumn<TsfSeries>.Of(attribute.Name, attribute.Type, series => ((string)series.Attributes[place]).AsMemory()),
        NumberDataViewType => RecordColumn<TsfSeries>.Of(attribute.Name, attribute.Type, series => (float)series.Attributes[place]),
        _ => RecordColumn<TsfSeries>.Of(attribute.Name, attribute.Type, series => (DateTime)series.Attributes[place]),
    };

    private void ReadHeader()
    {
        bool hasData = false;
        foreach ((int line, string text) in _file.Lines())
        {
            if (hasData)
                return;
            if (text[0] != '@')
                throw _file.Wrong(line, $"'{SeriesFile.Shorten(text)}' stands before @data; a tag such as @attribute would be right");
            hasData = ReadTag(line, text.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries));
        }
        throw _file.Wrong(hasData ? "there is no series behind @data" : "there is no line @data; this is no file of the format .tsf");
    }

    private bool ReadTag(int line, string[] words)
    {
        string tag = words[0].ToLowerInvariant();
        if (tag == "@data")
            return true;
        if (words.Length == 1 && tag != "@relation")
            throw _file.Wrong(line, $"the tag {words[0]} has no value");
        switch (tag)
        {
            case "@relation":
                break;
            case "@attribute":
                AddAttribute(line, words);
                break;
            case "@frequency":
                _frequency = words[1];
                break;
            case "@horizon":
                _horizon = _file.ReadCount(line, words[0], words[1]);
                break;
            case "@missing":
                // A question mark is missing whatever the file says of itself.
                _file.ReadBoolean(line, words[0], words[1]);
                break;
            case "@equallength":
                _isEqualLength = _file.ReadBoolean(line, words[0], words[1]);
                break;
            default:
                throw _file.Wrong(
                    line, $"the tag {SeriesFile.Shorten(words[0])} is not known; known are @relation, @attribute, @frequency, "
                    + "@horizon, @missing, @equallength and @data");
        }
        return false;
    }

    private void AddAttribute(int line, string[] words)
    {
        DataViewType? type = words.Length != 3 ? null : words[2].ToLowerInvariant() switch
        {
            "string" => TextDataViewType.Instance,
            "numeric" => NumberDataViewType.Single,
            "date" => DateTimeDataViewType.Instance,
            _ => null,
        };
        if (type is null)
            throw _file.Wrong(line, "@attribute must have a name and a type, which is string, numeric or date");
        if (words[1] == SeriesAnnotations.Values || _attributes.Any(attribute => attribute.Name == words[1]))
            throw _file.Wrong(line, $"there are two columns '{words[1]}'");
        _attributes.Add((words[1], type));
    }

    private IEnumerable<TsfSeries> Read()
    {
        bool isData = false;
        int? length = null;
        foreach ((int line, string text) in _file.Lines())
        {
            if (!isData)
            {
                isData = text.Equals("@data", StringComparison.OrdinalIgnoreCase);
                continue;
            }
            string[] parts = text.Split(':');
            if (parts.Length != _attributes.Count + 1)
                throw _file.Wrong(
                    line, $"there are {parts.Length} parts between colons; {_attributes.Count} attributes and values would be right");
            object[] attributes = [.. _attributes.Select((attribute, i) => ReadAttribute(line, attribute, parts[i].Trim()))];
            float[] values = ReadValues(line, parts[^1]);
            if (_isEqualLength && values.Length != (length ??= values.Length))
                throw _file.Wrong(line, $"the series has {values.Length} values, those before it {length}: @equallength is true");
            yield return new TsfSeries(attributes, values);
        }
    }

    private object ReadAttribute(int line, (string Name, DataViewType Type) attribute, string text)
    {
        switch (attribute.Type)
        {
            case TextDataViewType:
                return text;
            case NumberDataViewType:
                return float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float number)
                    ? number
                    : throw _file.Wrong(line, $"'{attribute.Name}' is '{SeriesFile.Shorten(text)}'; a number would be right");
            default:
                return DateTime.TryParseExact(text, DateFormats, CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTime date)
                    ? date
                    : throw _file.Wrong(
                        line, $"'{attribute.Name}' is '{SeriesFile.Shorten(text)}'; a date such as 1979-01-31 00-00-00 would be right");
        }
    }

    private float[] ReadValues(int line, string text)
    {
        if (string.IsNullOrWhiteSpace(text))
            throw _file.Wrong(line, "the series has no values");
        string[] parts = text.Split(',');
        float[] values = new float[parts.Length];
        for (int i = 0; i < values.Length; i++)
            values[i] = _file.ReadValue(line, parts[i], i, 0);
        return values;
    }
}
