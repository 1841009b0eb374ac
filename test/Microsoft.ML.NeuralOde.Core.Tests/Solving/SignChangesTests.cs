using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>Sign changes of functions whose zeros are known.</summary>
public class SignChangesTests
{
    /// <summary>A function, the sign with which it comes to 0 (0 for none), its zeros that count, and the sign behind them.</summary>
    public static TheoryData<string, Func<double, double>, int, double[], int> Functions => new()
    {
        { "a constant", x => 2, 0, [], 1 },
        { "a negative constant", x => -2, 0, [], -1 },
        { "nothing at all", x => 0, 0, [], 0 },
        { "a line", x => x - 0.7, 0, [0.7], 1 },
        { "a falling line", x => 0.7 - x, 0, [0.7], -1 },
        { "a line that is zero at the first place", x => x, 0, [], 1 },
        { "one that comes there from the other side", x => x, -1, [0], 1 },
        { "one that comes there from the same side", x => x, 1, [], 1 },
        { "a zero at the last place counts", x => x - 1, 0, [1], 1 },
        { "a zero just behind it does not", x => x - 1.0001, 0, [], -1 },
        { "a zero at the middle sample", x => x - 0.5, 0, [0.5], 1 },
        { "contact at the middle sample", x => (x - 0.5) * (x - 0.5), 0, [], 1 },
        { "contact elsewhere", x => -(x - 0.3) * (x - 0.3), 0, [], -1 },
        { "a triple zero", x => Cube(x - 0.4), 0, [0.4], 1 },
        { "two zeros next to each other", x => (x - 0.33) * (x - 0.3302), 0, [0.33, 0.3302], 1 },
        { "two between samples, against the sign", x => -(x - 0.77) * (x - 0.7701), 0, [0.77, 0.7701], -1 },
        { "two at the left end", x => (x - 0.001) * (x - 0.0012), 0, [0.001, 0.0012], 1 },
        { "two at the right end", x => (x - 0.999) * (x - 0.9988), 0, [0.9988, 0.999], 1 },
        { "nearly two", x => (x - 0.33) * (x - 0.33) + 1e-8, 0, [], 1 },
        { "a cosine", x => Math.Cos(Math.PI * x * 3), 0, [1.0 / 6, 0.5, 5.0 / 6], -1 },
        { "many zeros", x => Math.Sin(40 * x + 0.5), 0, [.. Enumerable.Range(1, 12).Select(k => (k * Math.PI - 0.5) / 40)], 1 },
        { "a kink", x => Math.Abs(x - 0.41) - 0.01, 0, [0.4, 0.42], 1 },
        { "a jump", x => x < 0.3 ? -1 : 1, 0, [0.3], 1 },
        { "zero over a stretch that is crossed", x => Math.Max(0, x - 0.75) - Math.Max(0, 0.25 - x), 0, [0.25], 1 },
        { "zero over a stretch that turns back", x => Math.Max(0, x - 0.75) + Math.Max(0, 0.25 - x), 0, [], 1 },
        { "zero over the first half", x => Math.Max(0, x - 0.5), 0, [], 1 },
        { "the same from the other side", x => Math.Max(0, x - 0.5), -1, [0], 1 },
    };

    private static double Cube(double x) => x * x * x;

    [Theory]
    [MemberData(nameof(Functions))]
    public void Changes_are_found_in_order_with_the_signs_around_them(
        string what, Func<double, double> function, int sign, double[] zeros, int last)
    {
        // Whatever its size.
        foreach (double scale in new[] { 1, 1e-6, 1e9 })
        {
            double Value(double x) => x is >= 0 and <= 1 ? scale * function(x) : throw new ArgumentOutOfRangeException(nameof(x));
            SignChanges.Result result = SignChanges.Find(Value, Value(0), sign, () => 0);
            double[] found = [.. result.Brackets.Select(bracket => SignChanges.Root(Value, bracket))];
            // A stretch of zeros is met at one of the samples in it.
            found.Should().Equal(zeros, (a, b) => Math.Abs(a - b) < (what.StartsWith("zero over", StringComparison.Ordinal) ? 0.1
                : what.Contains("same from") ? 1 : what.Contains("triple") ? 1e-4 : 1e-9), what);
            result.Sign.Should().Be(last, what);
            result.IsComplete.Should().BeTrue(what);
            int before = sign != 0 ? sign : Math.Sign(function(0));
            foreach (SignChanges.Bracket bracket in result.Brackets)
            {
                bracket.Sign.Should().Be(before, what);
                (bracket.LeftValue, bracket.RightValue).Should().Be((Value(bracket.Left), Value(bracket.Right)), what);
                before = -before;
            }
        }
    }

    [Fact]
    public void Pairs_of_zeros_between_two_samples_are_found_wherever_they_are()
    {
        var random = new Random(1);
        for (int i = 0; i < 500; i++)
        {
            double middle = 0.001 + 0.998 * random.NextDouble(), gap = Math.Pow(10, -3 - 3 * random.NextDouble());
            double bend = 2 * random.NextDouble() - 1;
            int sign = i % 2 == 0 ? 1 : -1;
            // The other factor is far from zero: between 1 and e, or 1 and 1/e.
            int calls = 0;
            double Value(double x)
            {
                calls++;
                return sign * ((x - middle) * (x - middle) - gap * gap) * Math.Exp(bend * x);
            }
            SignChanges.Result result = SignChanges.Find(Value, Value(0), 0, () => 0);
            int needed = calls;
            result.Brackets.Select(bracket => SignChanges.Root(Value, bracket))
                .Should().Equal([middle - gap, middle + gap], (a, b) => Math.Abs(a - b) < 1e-9 + 1e-3 * gap);
            (result.Sign, result.IsComplete).Should().Be((sign, true));
            // A polynomial that shows where to look saves halving to the width of the gap.
            needed.Should().BeLessThan(100);
            // A pair that is none, as near.
            double Lifted(double x) => Value(x) + 2 * sign * gap * gap * Math.Exp(bend * x);
            SignChanges.Find(Lifted, Lifted(0), 0, () => 0).Brackets.Should().BeEmpty();
        }
    }

    [Fact]
    public void A_function_without_zeros_costs_nine_values_and_one_with_a_plain_zero_as_many()
    {
        foreach (Func<double, double> function in
            new Func<double, double>[] { x => 1 + x, Math.Exp, x => x - 0.7, x => Math.Sin(3 * x - 1) })
        {
            int calls = 0;
            SignChanges.Find(x => { calls++; return function(x); }, function(0), 0, () => 0);
            // Eight points besides the first, and one on guard.
            calls.Should().Be(9);
        }
    }

    [Fact]
    public void Pieces_are_halved_until_they_are_resolved_and_not_beyond_their_number()
    {
        int calls = 0;
        double Count(double x)
        {
            calls++;
            return Math.Sin(40 * x + 0.5);
        }
        SignChanges.Find(Count, Count(0), 0, () => 0, mostPieces: 1).IsComplete.Should().BeFalse("one polynomial is too few");
        calls.Should().Be(10);
        SignChanges.Find(Count, Count(0), 0, () => 0, mostPieces: 64).IsComplete.Should().BeTrue();

        // No polynomial describes it: all the pieces that are allowed are used up.
        calls = 0;
        double Rough(double x)
        {
            calls++;
            return Math.Sin(1e7 * x) + 0.01;
        }
        SignChanges.Find(Rough, 0.01, 0, () => 0, mostPieces: 10).IsComplete.Should().BeFalse();
        // Each piece costs eight values, each halving one more, and the last place one.
        calls.Should().BeInRange(10 * 8, 20 * 9 + 1);
    }

    [Fact]
    public void Rounding_is_no_sign_change_that_smaller_pieces_could_resolve()
    {
        // A line whose values are rounded to multiples of 1/1000.
        int calls = 0;
        double Rounded(double x)
        {
            calls++;
            return Math.Round((x - 0.4) * 1000) / 1000;
        }
        SignChanges.Result result = SignChanges.Find(Rounded, Rounded(0), 0, () => 1e-3);
        result.IsComplete.Should().BeTrue();
        SignChanges.Root(Rounded, result.Brackets.Should().ContainSingle().Subject).Should().BeApproximately(0.4, 1e-3);
        calls.Should().BeLessThan(100);

        // Nothing but noise tells nothing.
        static double Noise(double x) => Math.Sin(1e7 * x) * 1e-6;
        SignChanges.Find(Noise, 0, 0, () => 1e-6).IsComplete.Should().BeFalse();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public void A_root_is_found_to_the_last_digits_in_time(int sign)
    {
        foreach ((Func<double, double> function, double root) in new (Func<double, double>, double)[]
        {
            (x => x - 0.3, 0.3), (x => x * x - 0.5, Math.Sqrt(0.5)), (x => Math.Exp(x) - 2, Math.Log(2)),
            (x => Math.Cos(2 * x), Math.PI / 4), (x => x * x * x - 0.001, 0.1), (x => Math.Pow(x, 9) - 0.001, Math.Pow(0.001, 1 / 9.0)),
            (x => 1 - Math.Pow(x, 9) / 0.5, Math.Pow(0.5, 1 / 9.0)), (x => Math.Atan(1000 * (x - 0.6)), 0.6),
        })
        {
            int calls = 0;
            double Value(double x)
            {
                calls++;
                return x is > 0 and < 1 ? sign * function(x) : throw new ArgumentOutOfRangeException(nameof(x));
            }
            var bracket = new SignChanges.Bracket(0, sign * function(0), 1, sign * function(1), sign * Math.Sign(function(0)));
            SignChanges.Root(Value, bracket).Should().BeApproximately(root, 3e-15);
            calls.Should().BeLessThan(20);
        }
    }

    [Fact]
    public void A_value_of_zero_is_the_root_itself()
    {
        static double Never(double x) => throw new InvalidOperationException();
        SignChanges.Root(Never, new(0.25, 0, 0.5, 1, -1)).Should().Be(0.25);
        SignChanges.Root(Never, new(0.25, -1, 0.5, 0, -1)).Should().Be(0.5);
        // No number lies between.
        SignChanges.Root(Never, new(0.5, -1, Math.BitIncrement(0.5), 1, -1)).Should().Be(Math.BitIncrement(0.5));
        // A jump is found between two neighbours, on its far side.
        SignChanges.Root(x => x < 0.3 ? -1 : 1, new(0, -1, 1, 1, -1)).Should().BeApproximately(0.3, 1e-15).And.BeGreaterThanOrEqualTo(0.3);
    }
}
