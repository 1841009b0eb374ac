using System.Globalization;
using OxyPlot;
using OxyPlot.Annotations;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace Microsoft.ML.NeuralOde.Plots.Drawing;

/// <summary>One plot of a figure: what it shows, without colours, which each theme adds.</summary>
internal sealed class Panel(string title, string xLabel, string yLabel)
{
    private readonly List<Action<PlotModel, Style>> _parts = [];
    private bool _hasNames;
    private double _width = 1;
    private double _height = 1;

    public bool LogX { get; init; }

    public bool LogY { get; init; }

    /// <summary>Whether a unit is as long on both axes.</summary>
    public bool EqualUnits { get; init; }

    /// <summary>Whether axes are left out, as around images.</summary>
    public bool Bare { get; init; }

    /// <summary>Names of the integers on the y axis, the first at the top.</summary>
    public IReadOnlyList<string>? RowNames { get; init; }

    /// <summary>Names of the integers on the x axis.</summary>
    public IReadOnlyList<string>? ColumnNames { get; init; }

    public (double Low, double High)? XRange { get; init; }

    public (double Low, double High)? YRange { get; init; }

    public string Title => title;

    public Panel Line(
        string? name, IReadOnlyList<double> x, IReadOnlyList<double> y, int colour, double thickness = 2, bool dashed = false,
        bool markers = false,
        byte alpha = 255)
    {
        _hasNames |= name is not null;
        _parts.Add((model, style) =>
        {
            var series = new LineSeries
            {
                Title = name,
                Color = OxyColor.FromAColor(alpha, style.Colour(colour)),
                StrokeThickness = thickness,
                LineStyle = dashed ? LineStyle.Dash : LineStyle.Solid,
                MarkerType = markers ? Style.Marker(colour) : MarkerType.None,
                MarkerFill = style.Colour(colour),
                MarkerSize = 3.5,
                LineJoin = LineJoin.Round,
            };
            for (int i = 0; i < x.Count; i++)
                series.Points.Add(new DataPoint(Shown(x[i], LogX), Shown(y[i], LogY)));
            model.Series.Add(series);
        });
        return this;
    }

    public Panel Points(
        string? name, IReadOnlyList<double> x, IReadOnlyList<double> y, int colour, double size = 3, byte alpha = 255, bool cross = false)
    {
        _hasNames |= name is not null;
        _parts.Add((model, style) =>
        {
            var series = new ScatterSeries
            {
                Title = name,
                MarkerType = cross ? MarkerType.Cross : Style.Marker(colour),
                MarkerSize = size,
                MarkerFill = OxyColor.FromAColor(alpha, style.Colour(colour)),
                MarkerStroke = cross ? style.Colour(colour) : OxyColors.Undefined,
                MarkerStrokeThickness = cross ? 1.5 : 0,
            };
            for (int i = 0; i < x.Count; i++)
                if (!double.IsNaN(Shown(x[i], LogX)) && !double.IsNaN(Shown(y[i], LogY)))
                    series.Points.Add(new ScatterPoint(x[i], y[i]));
            model.Series.Add(series);
        });
        return this;
    }

    public Panel Band(string? name, IReadOnlyList<double> x, IReadOnlyList<double> low, IReadOnlyList<double> high, int colour)
    {
        _hasNames |= name is not null;
        _parts.Add((model, style) =>
        {
            var series = new AreaSeries
            {
                Title = name,
                Color = OxyColors.Transparent,
                Color2 = OxyColors.Transparent,
                Fill = OxyColor.FromAColor(60, style.Colour(colour)),
                StrokeThickness = 0,
            };
            for (int i = 0; i < x.Count; i++)
            {
                series.Points.Add(new DataPoint(x[i], low[i]));
                series.Points2.Add(new DataPoint(x[i], high[i]));
            }
            model.Series.Add(series);
        });
        return this;
    }

    /// <summary>A bar from one number to another along a row of <see cref="RowNames"/>; a part of the row, 0 to 1, is its
    /// thickness.</summary>
    public Panel Bar(int row, double from, double to, int colour, string label, double offset = 0, double thickness = 0.6)
    {
        _parts.Add((model, style) =>
        {
            double y = RowNames!.Count - 1 - row - offset;
            var series = new RectangleBarSeries { FillColor = style.Colour(colour), StrokeThickness = 0, LabelFormatString = null };
            series.Items.Add(new RectangleBarItem(from, y - thickness / 2, to, y + thickness / 2));
            model.Series.Add(series);
            model.Annotations.Add(new TextAnnotation
            {
                Text = label,
                TextPosition = new DataPoint(to, y),
                TextHorizontalAlignment = HorizontalAlignment.Left,
                TextVerticalAlignment = VerticalAlignment.Middle,
                Offset = new ScreenVector(4, 0),
                StrokeThickness = 0,
                TextColor = style.Text,
                FontSize = Style.SmallFontSize,
            });
        });
        return this;
    }

    /// <summary>A column that stands on zero.</summary>
    public Panel Column(double from, double to, double height, int colour)
    {
        _parts.Add((model, style) =>
        {
            var series = new RectangleBarSeries
            {
                FillColor = style.Colour(colour),
                StrokeColor = style.Background,
                StrokeThickness = 1,
                LabelFormatString = null,
            };
            series.Items.Add(new RectangleBarItem(from, 0, to, height));
            model.Series.Add(series);
        });
        return this;
    }

    /// <summary>A name in the legend for bars of a colour.</summary>
    public Panel Key(string name, int colour)
    {
        _hasNames = true;
        _parts.Add((model, style) => model.Series.Add(new ScatterSeries
        {
            Title = name,
            MarkerType = MarkerType.Square,
            MarkerSize = 5,
            MarkerFill = style.Colour(colour),
        }));
        return this;
    }

    /// <param name="values">First index x.</param>
    /// <param name="x">The middle of the first and of the last column.</param>
    /// <param name="y">The same of rows.</param>
    /// <param name="smooth">Whether colours blend from cell to cell.</param>
    /// <param name="range">The values of the first and last colour; null for those that occur.</param>
    public Panel Heat(
        double[,] values, (double First, double Last) x, (double First, double Last) y, bool smooth,
        (double Low, double High)? range = null)
    {
        if (values.Length == 1)
        {
            // Cells need neighbours to have a size: two halves of one.
            values = new[,] { { values[0, 0], values[0, 0] }, { values[0, 0], values[0, 0] } };
            (x, y) = ((x.First - 0.25, x.Last + 0.25), (y.First - 0.25, y.Last + 0.25));
        }
        _parts.Add((model, _) =>
        {
            model.Axes.Add(new LinearColorAxis
            {
                // Without a scale beside the panel.
                Position = AxisPosition.None,
                Palette = Style.Scale,
                Minimum = range?.Low ?? double.NaN,
                Maximum = range?.High ?? double.NaN,
            });
            model.Series.Add(new HeatMapSeries
            {
                X0 = x.First,
                X1 = x.Last,
                Y0 = y.First,
                Y1 = y.Last,
                Data = values,
                Interpolate = smooth,
                RenderMethod = smooth ? HeatMapRenderMethod.Bitmap : HeatMapRenderMethod.Rectangles,
            });
        });
        return this;
    }

    public Panel Arrow(double x, double y, double toX, double toY, int colour, double thickness = 1.5, double head = 5, byte alpha = 255)
    {
        _parts.Add((model, style) => model.Annotations.Add(new ArrowAnnotation
        {
            StartPoint = new DataPoint(x, y),
            EndPoint = new DataPoint(toX, toY),
            Color = OxyColor.FromAColor(alpha, style.Colour(colour)),
            StrokeThickness = thickness,
            HeadLength = head,
            HeadWidth = 2.5,
            Veeness = 1,
        }));
        return this;
    }

    public Panel Text(double x, double y, string text, int? colour = null, HorizontalAlignment align = HorizontalAlignment.Center,
        VerticalAlignment verticalAlign = VerticalAlignment.Middle, double shift = 0, bool lightOnDark = false, bool onScale = false)
    {
        _parts.Add((model, style) => model.Annotations.Add(new TextAnnotation
        {
            Text = text,
            TextPosition = new DataPoint(x, y),
            TextHorizontalAlignment = align,
            TextVerticalAlignment = verticalAlign,
            Offset = new ScreenVector(0, shift),
            StrokeThickness = 0,
            TextColor = onScale
            ? (lightOnDark ? OxyColors.White : OxyColors.Black) : colour is { } index ? style.Colour(index) : style.Text,
            FontSize = Style.SmallFontSize,
            Layer = AnnotationLayer.AboveSeries,
        }));
        return this;
    }

    /// <summary>A grey image, row by row from the top, values from 0 for black to 1 for white, in a rectangle of the plot.</summary>
    public Panel Image(float[] pixels, int imageWidth, double left, double bottom, double size)
    {
        int imageHeight = pixels.Length / imageWidth;
        _parts.Add((model, _) =>
        {
            var colours = new OxyColor[imageWidth, imageHeight];
            for (int i = 0; i < pixels.Length; i++)
            {
                byte grey = (byte)Math.Clamp(Math.Round(255 * pixels[i]), 0, 255);
                colours[i % imageWidth, i / imageWidth] = OxyColor.FromRgb(grey, grey, grey);
            }
            model.Annotations.Add(new ImageAnnotation
            {
                ImageSource = OxyImage.Create(colours, ImageFormat.Png),
                X = new PlotLength(left, PlotLengthUnit.Data),
                Y = new PlotLength(bottom, PlotLengthUnit.Data),
                Width = new PlotLength(size, PlotLengthUnit.Data),
                Height = new PlotLength(size, PlotLengthUnit.Data),
                HorizontalAlignment = HorizontalAlignment.Left,
                VerticalAlignment = VerticalAlignment.Bottom,
                Interpolate = false,
            });
        });
        return this;
    }

    /// <summary>The plot in a theme's colours; a model belongs to one picture.</summary>
    public PlotModel Build(Style style, double width, double height)
    {
        (_width, _height) = (width, height);
        var model = new PlotModel
        {
            Title = title.Length == 0 ? null : title,
            TitleFontSize = 13,
            TitleFontWeight = FontWeights.Normal,
            TitlePadding = 6,
            Culture = CultureInfo.InvariantCulture,
            DefaultFont = FontContext.Families,
            DefaultFontSize = Style.FontSize,
            DefaultColors = [.. style.Series],
            Background = OxyColors.Transparent,
            TextColor = style.Text,
            TitleColor = style.Text,
            PlotAreaBorderColor = Bare ? OxyColors.Transparent : style.Muted,
            Padding = new OxyThickness(4, 2, 10, 2),
            PlotType = EqualUnits ? PlotType.Cartesian : PlotType.XY,
        };
        model.Axes.Add(Axis(AxisPosition.Bottom, xLabel, LogX, ColumnNames, XRange, style));
        model.Axes.Add(Axis(AxisPosition.Left, yLabel, LogY, RowNames?.Reverse().ToArray(), YRange, style));
        foreach (Action<PlotModel, Style> part in _parts)
            part(model, style);
        if (_hasNames)
            model.Legends.Add(new Legend
            {
                // Outside, where it hides nothing.
                LegendPlacement = LegendPlacement.Outside,
                LegendPosition = LegendPosition.BottomCenter,
                LegendOrientation = LegendOrientation.Horizontal,
                LegendTextColor = style.Text,
                LegendFontSize = Style.SmallFontSize,
                LegendBorderThickness = 0,
                LegendItemSpacing = 18,
                LegendMargin = 2,
                LegendPadding = 2,
                AllowUseFullExtent = true,
            });
        return model;
    }

    /// <summary>A logarithm shows positive numbers alone; a gap stands where there is none.</summary>
    private static double Shown(double value, bool logarithmic) =>
        double.IsFinite(value) && (!logarithmic || value > 0) ? value : double.NaN;

    /// <summary>A number on a logarithmic axis: plain where the axis has few digits, else with a power of ten in superscript
    /// signs.</summary>
    private static string Power(double value, Axis axis)
    {
        if (axis.ActualMinimum >= 0.0009 && axis.ActualMaximum < 20_000)
            return value.ToString("#,0.###", CultureInfo.InvariantCulture);
        int exponent = (int)Math.Floor(Math.Log10(value) + 1e-9);
        string factor = (value / Math.Pow(10, exponent)).ToString("0.#", CultureInfo.InvariantCulture);
        string digits = exponent.ToString(CultureInfo.InvariantCulture);
        string power = "10" + string.Concat(digits.Select(sign => sign == '-' ? '⁻' : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign - '0']));
        return factor == "1" ? power : $"{factor}·{power}";
    }

    private Axis Axis(
        AxisPosition position, string label, bool logarithmic, IReadOnlyList<string>? names, (double Low, double High)? range, Style style)
    {
        Axis axis = logarithmic
            ? new LogarithmicAxis { MajorGridlineStyle = LineStyle.Solid }
            : new LinearAxis { MajorGridlineStyle = names is null ? LineStyle.Solid : LineStyle.None };
        axis.Position = position;
        axis.Title = label.Length == 0 ? null : label;
        axis.TitleFontSize = Style.FontSize;
        axis.FontSize = Style.SmallFontSize;
        axis.TitleColor = axis.TextColor = style.Text;
        axis.TicklineColor = axis.MinorTicklineColor = axis.AxislineColor = style.Muted;
        axis.MajorGridlineColor = style.Grid;
        axis.TickStyle = names is null ? TickStyle.Outside : TickStyle.None;
        axis.MinorTickSize = 0;
        axis.AxisTitleDistance = 6;
        axis.MinimumPadding = axis.MaximumPadding = logarithmic ? 0.04 : 0.03;
        axis.IsAxisVisible = !Bare;
        if (logarithmic)
            axis.LabelFormatter = value => Power(value, axis);
        double length = position == AxisPosition.Bottom ? _width : _height;
        axis.IntervalLength = Math.Clamp(length / (position == AxisPosition.Bottom ? 6 : 8), 30, 80);
        if (range is { } given)
            (axis.Minimum, axis.Maximum) = given;
        if (names is not null)
        {
            axis.MajorStep = 1;
            axis.MinorStep = 1;
            if (range is null)
                (axis.Minimum, axis.Maximum) = (-0.5, names.Count - 0.5);
            axis.LabelFormatter = value => Math.Abs(value - Math.Round(value)) < 1e-6 && value > -0.5 && value < names.Count - 0.5
                ? names[(int)Math.Round(value)] : "";
        }
        return axis;
    }
}
