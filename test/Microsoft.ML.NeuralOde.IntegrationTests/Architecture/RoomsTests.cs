using System.Reflection;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Architecture;

/// <summary>Rooms know each other in one direction, so that each can be read, tested and replaced without those above it.</summary>
public class RoomsTests
{
    // An assembly comes under the rule by a line here.
    private static readonly Assembly[] Assemblies =
    [
        typeof(Ode).Assembly,
        typeof(NeuralOdeClassificationTrainer).Assembly,
        typeof(Plots.Figure).Assembly,
        typeof(Mpi).Assembly,
    ];

    public static TheoryData<string> Names => [.. Assemblies.Select(assembly => assembly.GetName().Name!)];

    [Theory]
    [MemberData(nameof(Names))]
    public void No_two_rooms_of_an_assembly_know_each_other_and_no_way_leads_round_in_a_circle(string name)
    {
        RoomGraph rooms = RoomGraph.Of(Array.Find(Assemblies, assembly => assembly.GetName().Name == name)!);
        rooms.Rooms.Should().NotBeEmpty();
        rooms.Circles().Should().BeEmpty();
    }

    [Fact]
    public void The_ground_floor_of_stepping_knows_neither_methods_nor_solving_nor_gradients()
    {
        RoomGraph rooms = RoomGraph.Of(typeof(Ode).Assembly);
        rooms.Known("Stepping").Should().NotContain(
            ["Methods", "StepControl", "Solving", "Gradients", "PathIntegrals", "Dynamics", "Flows"]);
        rooms.Known("Methods").Should().Contain("Stepping").And.NotContain(["Solving", "Gradients"]);
        rooms.Known("Solving").Should().Contain("Stepping").And.NotContain("Gradients");
        rooms.Known("Gradients").Should().Contain(["Solving", "Methods", "Stepping"]);
    }

    [Fact]
    public void Pairs_and_circles_are_found_and_arrows_beside_them_are_not()
    {
        var rooms = new RoomGraph();
        (string From, string To)[] arrows =
        [
            ("a", "b"), ("b", "a"), ("c", "d"), ("d", "e"), ("e", "c"), ("a", "c"), ("e", "f"), ("f", "f"),
        ];
        foreach ((string from, string to) in arrows)
            rooms.Add(from, to, "why");
        rooms.Circles().Select(arrow => arrow[..6]).Should().Equal("a -> b", "b -> a", "c -> d", "d -> e", "e -> c");
    }
}
