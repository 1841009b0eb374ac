using Microsoft.ML.NeuralOde.Tests.Support;
using Microsoft.ML.NeuralOde.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>What the processes of a training say to each other, message by message, by hand.</summary>
public class TeamTests
{
    [Fact]
    public void Numbers_bytes_and_seeds_come_from_all_in_the_order_of_the_ranks()
    {
        var found = Results(ThreadGroup.Run(3, group =>
        {
            using Team team = Team.Begin(group)!;
            // The first rank brings two numbers, the second none, the third one.
            long[][] numbers = team.Gather(group.Rank switch { 0 => [5, -(1L << 52)], 1 => [], _ => [7] });
            byte[][] bytes = team.GatherBytes(group.Rank switch { 0 => [1, 2, 3], 1 => [], _ => [9] });
            byte[]? shared = team.ShareBytes(group.Rank == 1 ? [4, 5] : null, 1), nothing = team.ShareBytes(null);
            return (numbers, bytes, shared, nothing, Seed: team.ShareSeed(-70_000 - group.Rank), team.IsFirst, team.Size, team.Share);
        }));
        for (int rank = 0; rank < 3; rank++)
        {
            found[rank].numbers.Should().BeEquivalentTo(new long[][] { [5, -(1L << 52)], [], [7] }, o => o.WithStrictOrdering());
            found[rank].bytes.Should().BeEquivalentTo(new byte[][] { [1, 2, 3], [], [9] }, o => o.WithStrictOrdering());
            found[rank].shared.Should().Equal(4, 5);
            found[rank].nothing.Should().BeNull();
            found[rank].Seed.Should().Be(-70_000);
            (found[rank].IsFirst, found[rank].Size, found[rank].Share.Rank).Should().Be((rank == 0, 3, rank));
        }
        Team.Begin(null).Should().BeNull();
    }

    /// <summary>What the rows of each rank weigh, who asks for a checkpoint, who is asked to end, and what all make of it.</summary>
    [Theory]
    [InlineData(new[] { 1, 3, 0.0 }, -1, -1, new[] { 0.25, 0.75, 0 }, false, false)]
    [InlineData(new[] { 2, 0, 6.0 }, 0, -1, new[] { 0.25, 0, 0.75 }, true, false)]
    [InlineData(new[] { 5, 5, 10.0 }, -1, 2, new[] { 0.25, 0.25, 0.5 }, true, true)]
    [InlineData(new[] { 0, 0, 0.0 }, 0, 1, new[] { 1 / 3.0, 1 / 3.0, 1 / 3.0 }, true, true)]
    public void Ranks_agree_on_their_shares_and_on_checkpoints(
        double[] weights, int saving, int stopping, double[] parts, bool isSaved, bool isStopped)
    {
        var found = Results(ThreadGroup.Run(3, group =>
        {
            using Team team = Team.Begin(group)!;
            group.StopAfter = group.Rank == stopping ? 0 : null;
            return team.Agree(weights[group.Rank], group.Rank == saving);
        }));
        for (int rank = 0; rank < 3; rank++)
        {
            found[rank].Part.Should().BeApproximately(parts[rank], 1e-12);
            (found[rank].IsSaved, found[rank].IsStopped).Should().Be((isSaved, isStopped));
        }
    }

    [Fact]
    public void Steps_are_shared_while_that_is_asked_for_and_not_after_a_failure()
    {
        (bool Shares, bool Counts)[][] found = Results(ThreadGroup.Run(1, group =>
        {
            using Team team = Team.Begin(group)!;
            (bool, bool) before = Now(), during = team.InStep(true, false, Now), other = team.InStep(false, true, Now), after = Now();
            FluentActions.Invoking(() => team.InStep<bool>(true, false, () => throw new InvalidOperationException("no")))
                .Should().Throw<InvalidOperationException>().WithMessage("no");
            return new[] { before, during, other, after, Now() };

            (bool, bool) Now() => (group.SharesSteps, group.CountsInSteps);
        }));
        found[0].Should().Equal((false, true), (true, false), (false, true), (false, true), (false, true));
    }

    /// <summary>Facts of three ranks, and what is said where one of them differs.</summary>
    [Theory]
    [InlineData("same", null)]
    [InlineData("value", "on rank 1 the data is b and on rank 0 a. All need*")]
    [InlineData("more", "on rank 2 more is x and on rank 0 not known. All need*")]
    [InlineData("fewer", "on rank 1 the data is not known and on rank 0 a; on rank 2 the data is not known and on rank 0 a. All need*")]
    [InlineData("two", "on rank 2 other is y and on rank 0 x, the data is c and on rank 0 a. All need*")]
    public void Ranks_whose_facts_differ_are_told_of_each_difference(string what, string? message)
    {
        (bool Result, Exception? Exception)[] found = ThreadGroup.Run(3, group =>
        {
            using Team team = Team.Begin(group)!;
            var facts = new Dictionary<string, string> { ["the data"] = "a", ["other"] = "x" };
            if (what == "value" && group.Rank == 1)
                facts["the data"] = "b";
            if (what == "more" && group.Rank == 2)
                facts["more"] = "x";
            if (what == "fewer" && group.Rank > 0)
                facts.Remove("the data");
            if (what == "two" && group.Rank == 2)
                (facts["the data"], facts["other"]) = ("c", "y");
            try
            {
                team.RequireSame(facts);
                return true;
            }
            catch (TrainingGroupException exception)
            {
                // All have it: nobody is told a second time.
                team.Fail(exception);
                group.Sum([0.0]);
                throw;
            }
        });
        foreach ((bool result, Exception? exception) in found)
        {
            result.Should().Be(message is null);
            if (message is null)
                exception.Should().BeNull();
            else
                exception.Should().BeOfType<TrainingGroupException>().Which.Message.Should()
                    .Match($"The processes of the training differ: {message}");
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1)]
    [InlineData(2)]
    public void Weights_must_be_the_same_to_the_last_bit(int? other)
    {
        (bool Result, Exception? Exception)[] found = ThreadGroup.Run(3, group =>
        {
            using DisposeScope scope = NewDisposeScope();
            using Team team = Team.Begin(group)!;
            using var module = new Weights(group.Rank >= other ? MathF.BitIncrement(0.5f) : 0.5f);
            team.RequireSameWeights(module, 4);
            return true;
        });
        found.Should().OnlyContain(rank => rank.Result == (other == null));
        if (other is not null)
            found.Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<TrainingGroupException>().Which.Message.Should()
                .StartWith($"After epoch 4 the weights of rank {other} are not those of rank 0, "));
    }

    [Fact]
    public void A_failure_of_ones_own_is_told_to_the_others()
    {
        (bool Result, Exception? Exception)[] found = ThreadGroup.Run(2, group =>
        {
            using Team team = Team.Begin(group)!;
            if (group.Rank == 1)
                team.Fail(new InvalidOperationException("out of paper"));
            else
                team.ShareSeed(1);
            return true;
        });
        found[0].Exception.Should().BeOfType<TrainingGroupException>().Which.Message.Should().Be("Rank 1 failed: out of paper");
    }

    /// <summary>Sizes of gradients, and the messages that they take: one holds 2^22 numbers in float32, half as many in float64.</summary>
    [Theory]
    [InlineData(new[] { 3 }, false, 1)]
    [InlineData(new[] { 3, 0, 5 }, false, 1)]
    [InlineData(new[] { 1 << 21, 1 << 21 }, false, 1)]
    [InlineData(new[] { 1 << 21, 1 << 21, 1 }, false, 2)]
    [InlineData(new[] { 1, 1 << 22, 1 }, false, 3)]
    [InlineData(new[] { (1 << 22) + 1, 7 }, false, 2)]
    [InlineData(new[] { 1 << 20, 1 << 20 }, true, 1)]
    [InlineData(new[] { 1 << 20, 1 << 20, 1 }, true, 2)]
    public void Gradients_of_all_are_added_up_in_few_messages(int[] sizes, bool isDouble, int messages)
    {
        var found = Results(ThreadGroup.Run(2, group =>
        {
            using DisposeScope scope = NewDisposeScope();
            using Team team = Team.Begin(group)!;
            ScalarType type = isDouble ? ScalarType.Float64 : ScalarType.Float32;
            WeightGradient[] gradients =
                [.. sizes.Select((size, i) => new WeightGradient($"{i}", full(size, 3 * i + 1 + group.Rank, dtype: type)))];
            long[]? slots = new SharedGradients(team).Sum(gradients);
            return (slots, Sums: gradients.Select(gradient => (gradient.Values.numel() == 0 ? -1 : gradient.Values.min().ToDouble(),
                gradient.Values.numel() == 0 ? -1 : gradient.Values.max().ToDouble())).ToArray(), group.Messages);
        }));
        foreach ((long[]? slots, (double, double)[] sums, int sent) in found)
        {
            slots.Should().BeNull();
            sums.Should().Equal(sizes.Select((size, i) => size == 0 ? (-1.0, -1.0) : (6.0 * i + 3, 6.0 * i + 3)));
            sent.Should().Be(messages);
        }
    }

    [Fact]
    public void Gradients_of_slots_are_spread_over_those_that_any_rank_has_used()
    {
        var found = Results(ThreadGroup.Run(3, group =>
        {
            using DisposeScope scope = NewDisposeScope();
            using Team team = Team.Begin(group)!;
            long[] used = group.Rank switch { 0 => [2, 9], 1 => [], _ => [9, 70] };
            float[] values = group.Rank switch { 0 => [1, 2, 3, 4], 1 => [], _ => [10, 20, 30, 40] };
            WeightGradient[] gradients =
            [
                new("bias", tensor(new[] { 1f + group.Rank })), new("double", tensor(new[] { 0.5 })),
                new("words", tensor(values, [used.Length, 2]), used),
            ];
            long[]? slots = new SharedGradients(team).Sum(gradients);
            return (slots, gradients[2].Slots, Words: gradients[2].Values.data<float>().ToArray(), Bias: gradients[0].Values.item<float>(),
                Double: gradients[1].Values.item<double>());
        }));
        foreach (var rank in found)
        {
            rank.slots.Should().Equal(2, 9, 70);
            rank.Slots.Should().Equal(2, 9, 70);
            rank.Words.Should().Equal(1, 2, 13, 24, 30, 40);
            (rank.Bias, rank.Double).Should().Be((6, 1.5));
        }
        (bool Result, Exception? Exception)[] refused = ThreadGroup.Run(1, group =>
        {
            using DisposeScope scope = NewDisposeScope();
            new SharedGradients(Team.Begin(group)!).Sum([new WeightGradient("half", zeros(2, dtype: ScalarType.Float16))]);
            return true;
        });
        refused[0].Exception.Should().BeOfType<NotSupportedException>().Which.Message.Should().StartWith("A weight has type Float16;");
        FluentActions.Invoking(() => new WeightGradient("whole", zeros(2)).Replace([1], zeros(1))).Should()
            .Throw<InvalidOperationException>().WithMessage("The gradient of 'whole' is of all of the weight*");
    }

    [Fact]
    public void Sums_of_an_epoch_count_rows_as_often_as_they_weigh_and_become_those_of_all_ranks()
    {
        using DisposeScope scope = NewDisposeScope();
        var sums = new EpochSums { Seconds = 3, LearningRate = 0.5 };
        Tensor none = tensor(0.0);
        sums.Add(new BatchResult(none, none, 4, tensor(0.5), 8, ScheduleTests.Cost(6)), 2.5);
        sums.Add(new BatchResult(none, none, 2, null, 100, ScheduleTests.Cost(3)), 10, 0.5);
        (sums.Batches, sums.Loss, sums.Weight, sums.Figure, sums.FigureWeight, sums.Forward, sums.Backward).Should()
            .Be((2, 4 * 2.5 + 2 * 10 * 0.5, 5, 4, 8, 9, 0));
        EpochSums copy = sums.Copy();
        copy.Loss = 0;
        (sums.Loss, copy.Seconds, copy.LearningRate).Should().Be((20, 3, 0.5));

        var found = Results(ThreadGroup.Run(2, group =>
        {
            using Team team = Team.Begin(group)!;
            var before = new EpochSums { Loss = 1, Weight = 2, Figure = 3, FigureWeight = 4, Forward = 50, Backward = 60 };
            int k = group.Rank + 1;
            var after = new EpochSums
            {
                Batches = 7,
                Loss = 1 + k,
                Weight = 2 + 10 * k,
                Figure = 3 + 100 * k,
                FigureWeight = 4 + k,
                Forward = 50 + 9 * k,
                Backward = 60 + 2 * k,
            };
            after.Merge(team, before);
            return (after.Batches, after.Loss, after.Weight, after.Figure, after.FigureWeight, after.Forward, after.Backward);
        }));
        // Evaluations are means over the ranks, 27/2 and 6/2: half goes to the even number.
        found.Should().AllBeEquivalentTo((7L, 1 + 3.0, 2 + 30.0, 3 + 300.0, 4 + 3.0, 50 + 14L, 60 + 3L));
    }

    [Fact]
    public void A_seed_decides_what_is_drawn_and_leaves_torchs_own_generator_as_it_was()
    {
        using DisposeScope scope = NewDisposeScope();
        torch.random.manual_seed(5);
        float[] expected = Draw();
        torch.random.manual_seed(5);
        float[] first = TorchSeed.Run(9, Draw), again = TorchSeed.Run(9, Draw), other = TorchSeed.Run(10, Draw);
        float[] drawn = [];
        TorchSeed.Run(9, () => { drawn = Draw(); });
        FluentActions.Invoking(() => TorchSeed.Run(9, () => throw new InvalidOperationException($"{Draw().Length}"))).Should()
            .Throw<InvalidOperationException>().WithMessage("3");
        Draw().Should().Equal(expected);
        again.Should().Equal(first);
        drawn.Should().Equal(first);
        other.Should().NotEqual(first);

        static float[] Draw() => rand(3).data<float>().ToArray();
    }

    /// <summary>A divergence with and without a checkpoint and a cause.</summary>
    [Theory]
    [InlineData(null, null,
        "The loss became NaN in epoch 3. Lower LearningRate, set MaximumGradientNorm (1 is usual), or normalise the features.")]
    [InlineData("a.checkpoint", "Too stiff.",
        "The loss became NaN in epoch 3. The last good checkpoint is 'a.checkpoint'. Lower LearningRate, set MaximumGradientNorm "
        + "(1 is usual), or normalise the features. Too stiff.")]
    public void A_divergence_says_where_and_what_to_try(string? checkpoint, string? cause, string message)
    {
        var found = new NeuralOdeTrainingException(
            "The loss became NaN", 3, checkpoint, cause is null ? null : new ArithmeticException(cause));
        (found.Message, found.Epoch, found.Checkpoint, found.InnerException?.Message).Should().Be((message, 3, checkpoint, cause));
    }

    private static T[] Results<T>((T? Result, Exception? Exception)[] found)
    {
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeNull());
        return [.. found.Select(rank => rank.Result!)];
    }

    /// <summary>A module of two weights.</summary>
    private sealed class Weights : nn.Module
    {
        public Weights(float second)
            : base(nameof(Weights)) => register_parameter("weight", new TorchSharp.Modules.Parameter(tensor(new[] { 1, second })));
    }
}
