// Compiled into a test project by build/Mutate.cs: runs the project's tests in one process, again and again, with one mutant on at a time.
// A process for each mutant would spend most of its time on loading torch.
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Microsoft.ML.NeuralOde.TestData;

/// <summary>What one test reaches, without any mutant on.</summary>
internal sealed record Reach(string Id, string Name, double Milliseconds, int[] Mutants, int[] Static);

/// <summary>The only test that Stryker runs: it reaches one mutant, without which Stryker would try this test on all of them.</summary>
public sealed class MutantHostTests
{
    [Fact]
    public void Reaches_one_mutant() =>
        MutantHost.FindControl(typeof(MutantHost).Assembly.GetName().Name![..^".Tests".Length])?.GetMethod("IsActive")!.Invoke(null, [0]);
}

internal static class MutantHost
{
    /// <summary>
    /// What all tests of one mutant may take: the long ones that remain are trainings, which reach everything and see little.
    /// </summary>
    private const double MostMilliseconds = 10_000;

    private static readonly SeededTests Framework = new(new Sink(_ => true));
    private static Type _control = null!;

    /// <summary>
    /// <c>reach LIBRARY FILTER FILE</c> or <c>try LIBRARY FILTER FILE MUTANT…</c>; the filter is names, separated by bars. What happens
    /// once a process has an s before its mutant's number, and behind it the first and the last number of its file: <c>s17:3-40</c>.
    /// </summary>
    private static int Main(string[] arguments)
    {
        _control = FindControl(arguments[1]) ?? throw new InvalidOperationException($"{arguments[1]} has no mutants.");
        // The data of theories make static values, which a process makes once: a mutant among them comes alone, and is on before.
        if (arguments[0] == "reach")
            _control.GetField("CaptureCoverage")!.SetValue(null, true);
        else if (arguments.Length == 5)
            Activate(new Asked(arguments[4]).Mutant);
        Dictionary<string, ITestCase> cases = Discover(arguments[2].Split('|'));
        if (arguments[0] == "reach")
        {
            File.WriteAllText(arguments[3], JsonSerializer.Serialize(Measure(cases.Values)));
            return 0;
        }
        Reach[] reach = JsonSerializer.Deserialize<Reach[]>(File.ReadAllText(arguments[3]))!;
        foreach (string text in arguments.Skip(4))
        {
            var asked = new Asked(text);
            (int mutant, bool once) = (asked.Mutant, asked.IsOnce);
            // Short tests first: most mutants are noticed by the first tests that reach them. What runs once a process may serve any test,
            // and most likely one that comes to its file.
            double spent = 0;
            ITestCase[] tests = [.. reach.Where(test => once || test.Mutants.Contains(mutant))
                .OrderBy(test => once && !asked.IsNear(test)).ThenBy(test => test.Milliseconds)
                .TakeWhile((test, index) => index == 0 || (spent += test.Milliseconds) < MostMilliseconds)
                .Where(test => cases.ContainsKey(test.Id)).Select(test => cases[test.Id])];
            Console.WriteLine($"#begin {mutant}");
            Activate(mutant);
            ITestCase? failed = tests.Select(test => (ITestCase?)test).FirstOrDefault(test => !Passes(test!));
            Activate(-1);
            if (failed is null)
            {
                Console.WriteLine($"#survived {mutant}");
                continue;
            }
            // What a mutant spoils for good must not count for the next ones.
            bool sound = once || Passes(failed);
            Console.WriteLine($"#killed {mutant} {failed.DisplayName.ReplaceLineEndings(" ")}");
            if (!sound)
                return 3;
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        return 0;
    }

    /// <summary>Stryker's switch in a library; null in an unchanged one.</summary>
    internal static Type? FindControl(string library) =>
        Assembly.Load(library).GetTypes().SingleOrDefault(type => type.Name == "MutantControl");

    private static Dictionary<string, ITestCase> Discover(string[] names)
    {
        var found = new Dictionary<string, ITestCase>();
        using var done = new ManualResetEventSlim();
        string start = typeof(MutantHost).Assembly.GetName().Name + ".";
        var sink = new Sink(message =>
        {
            if (message is ITestCaseDiscoveryMessage { TestCase: var test } && IsWanted(test))
                found[test.UniqueID] = test;
            if (message is IDiscoveryCompleteMessage)
                done.Set();
            return true;
        });
        Framework.GetDiscoverer(Reflector.Wrap(typeof(MutantHost).Assembly)).Find(includeSourceInformation: false, sink, new Options());
        done.Wait();
        return found;

        bool IsWanted(ITestCase test)
        {
            string name = $"{test.TestMethod.TestClass.Class.Name}.{test.TestMethod.Method.Name}.";
            return names.Any(one => name.StartsWith($"{start}{one}.", StringComparison.Ordinal))
                && !(test.Traits.TryGetValue("Category", out List<string>? categories) && categories.Contains("Slow"));
        }
    }

    private static List<Reach> Measure(IEnumerable<ITestCase> cases)
    {
        var all = new List<Reach>();
        // What a fixture reaches counts for all tests of its class.
        var fixtures = new Dictionary<string, HashSet<int>>();
        var lost = new HashSet<string>();
        MethodInfo take = _control.GetMethod("GetCoverageData")!;
        all.Add(new Reach("", "", 0, [], [.. Take()[1]]));
        Run(cases, message =>
        {
            switch (message)
            {
                case ITestStarting starting:
                    string type = starting.TestClass.Class.Name;
                    if (!fixtures.TryGetValue(type, out HashSet<int>? shared))
                        fixtures[type] = shared = [];
                    IList<int>[] before = Take();
                    shared.UnionWith(before[0]);
                    all.Add(new Reach("", type, 0, [], [.. before[1]]));
                    break;
                case ITestFailed failed:
                    lost.Add(failed.TestCase.UniqueID);
                    Console.WriteLine($"fails without a mutant: {failed.Test.DisplayName}: {string.Join(' ', failed.Messages)}");
                    break;
                case ITestFinished finished:
                    IList<int>[] during = Take();
                    all.Add(new Reach(finished.TestCase.UniqueID, finished.TestClass.Class.Name, (double)finished.ExecutionTime * 1000,
                        [.. during[0]], [.. during[1]]));
                    break;
            }
            return true;
        });
        // A test case may be several tests.
        return [.. all.GroupBy(one => one.Id).Where(group => !lost.Contains(group.Key)).Select(group => new Reach(
            group.Key, group.First().Name, group.Sum(one => one.Milliseconds),
            group.Key.Length == 0 ? [] : [.. group.SelectMany(one => one.Mutants).Union(fixtures[group.First().Name])],
            [.. group.SelectMany(one => one.Static).Distinct()]))];

        IList<int>[] Take() => (IList<int>[])take.Invoke(null, null)!;
    }

    private static bool Passes(ITestCase test)
    {
        bool passed = true;
        Run([test], message =>
        {
            if (message is ITestStarting)
                Console.WriteLine("#test");
            if (message is ITestFailed or ITestClassCleanupFailure or ITestCollectionCleanupFailure or ITestCaseCleanupFailure
                or ITestCleanupFailure or IErrorMessage)
                passed = false;
            return passed;
        });
        return passed;
    }

    private static void Run(IEnumerable<ITestCase> tests, Func<IMessageSinkMessage, bool> see)
    {
        using var done = new ManualResetEventSlim();
        var sink = new Sink(message =>
        {
            bool goOn = see(message);
            if (message is ITestAssemblyFinished)
                done.Set();
            return goOn;
        });
        using ITestFrameworkExecutor executor = Framework.GetExecutor(typeof(MutantHost).Assembly.GetName());
        executor.RunTests(tests, sink, new Options());
        done.Wait();
    }

    private static void Activate(int mutant)
    {
        // Also for the programs that a test starts.
        Environment.SetEnvironmentVariable("STRYKER_MUTANT_ID_CONTROL_VAR", "NEURALODE_MUTANT");
        Environment.SetEnvironmentVariable("NEURALODE_MUTANT", mutant.ToString(CultureInfo.InvariantCulture));
        _control.GetField("ActiveMutant")!.SetValue(null, mutant);
    }

    /// <summary>A mutant as the command line names it.</summary>
    private sealed class Asked
    {
        private readonly int _first, _last;

        public Asked(string text)
        {
            int[] numbers = Array.ConvertAll(text.TrimStart('s').Split(':', '-'), part => int.Parse(part, CultureInfo.InvariantCulture));
            IsOnce = text[0] == 's';
            Mutant = numbers[0];
            if (IsOnce)
                (_first, _last) = (numbers[1], numbers[2]);
        }

        public int Mutant { get; }

        public bool IsOnce { get; }

        /// <summary>Whether a test comes to the file of a mutant of which it is not known what it serves.</summary>
        public bool IsNear(Reach test) => Array.Exists(test.Mutants, mutant => mutant >= _first && mutant <= _last);
    }

    private sealed class Sink(Func<IMessageSinkMessage, bool> see) : LongLivedMarshalByRefObject, IMessageSink
    {
        public bool OnMessage(IMessageSinkMessage message) => see(message);
    }

    private sealed class Options : ITestFrameworkDiscoveryOptions, ITestFrameworkExecutionOptions
    {
        private readonly Dictionary<string, object?> _values = new()
        {
            ["xunit.execution.SynchronousMessageReporting"] = true,
            ["xunit.execution.DisableParallelization"] = true,
        };

        public TValue GetValue<TValue>(string name) => _values.TryGetValue(name, out object? value) ? (TValue)value! : default!;

        public void SetValue<TValue>(string name, TValue value) => _values[name] = value;
    }
}
