using System.Globalization;
using System.Reflection;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Microsoft.ML.NeuralOde.TestData;

/// <summary>
/// Starts each test method with torch's random numbers in a state of its own, so that it draws the same numbers alone, among others and in
/// any order of the classes, which xunit draws anew in each run. <c>NEURALODE_TEST_SEED</c>, a number, gives all of them other draws: a
/// test that then fails leans on the numbers it happens to draw.
/// </summary>
public sealed class SeededTests(IMessageSink messages) : XunitTestFramework(messages)
{
    private static readonly long BaseSeed =
        long.Parse(Environment.GetEnvironmentVariable("NEURALODE_TEST_SEED") ?? "0", CultureInfo.InvariantCulture);

    protected override ITestFrameworkExecutor CreateExecutor(AssemblyName assemblyName) =>
        new Executor(assemblyName, SourceInformationProvider, DiagnosticMessageSink);

    /// <summary>FNV-1a: the same on every machine, which string.GetHashCode is not.</summary>
    private static long SeedOf(string name)
    {
        ulong hash = 14695981039346656037;
        foreach (char c in name)
            hash = (hash ^ c) * 1099511628211;
        return (long)(hash >> 2) + BaseSeed;
    }

    private sealed class Executor(AssemblyName assembly, ISourceInformationProvider sources, IMessageSink diagnostics)
        : XunitTestFrameworkExecutor(assembly, sources, diagnostics)
    {
        protected override async void RunTestCases(
            IEnumerable<IXunitTestCase> testCases, IMessageSink executionMessageSink, ITestFrameworkExecutionOptions executionOptions)
        {
            using var runner = new AssemblyRunner(TestAssembly, testCases, DiagnosticMessageSink, executionMessageSink, executionOptions);
            await runner.RunAsync();
        }
    }

    private sealed class AssemblyRunner(
        ITestAssembly assembly, IEnumerable<IXunitTestCase> cases, IMessageSink diagnostics, IMessageSink execution,
        ITestFrameworkExecutionOptions options)
        : XunitTestAssemblyRunner(assembly, cases, diagnostics, execution, options)
    {
        protected override Task<RunSummary> RunTestCollectionAsync(
            IMessageBus messageBus, ITestCollection testCollection, IEnumerable<IXunitTestCase> testCases,
            CancellationTokenSource cancellation) =>
            new CollectionRunner(
                testCollection, testCases, DiagnosticMessageSink, messageBus, TestCaseOrderer, new ExceptionAggregator(Aggregator),
                cancellation).RunAsync();
    }

    private sealed class CollectionRunner(
        ITestCollection collection, IEnumerable<IXunitTestCase> cases, IMessageSink diagnostics, IMessageBus bus, ITestCaseOrderer orderer,
        ExceptionAggregator aggregator, CancellationTokenSource cancellation)
        : XunitTestCollectionRunner(collection, cases, diagnostics, bus, orderer, aggregator, cancellation)
    {
        protected override Task<RunSummary> RunTestClassAsync(
            ITestClass testClass, IReflectionTypeInfo @class, IEnumerable<IXunitTestCase> testCases) =>
            new ClassRunner(
                testClass, @class, testCases, DiagnosticMessageSink, MessageBus, TestCaseOrderer, new ExceptionAggregator(Aggregator),
                CancellationTokenSource, CollectionFixtureMappings).RunAsync();
    }

    private sealed class ClassRunner(
        ITestClass testClass, IReflectionTypeInfo type, IEnumerable<IXunitTestCase> cases, IMessageSink diagnostics, IMessageBus bus,
        ITestCaseOrderer orderer, ExceptionAggregator aggregator, CancellationTokenSource cancellation,
        IDictionary<Type, object> collectionFixtures)
        : XunitTestClassRunner(testClass, type, cases, diagnostics, bus, orderer, aggregator, cancellation, collectionFixtures)
    {
        protected override Task<RunSummary> RunTestMethodAsync(
            ITestMethod testMethod, IReflectionMethodInfo method, IEnumerable<IXunitTestCase> testCases, object[] constructorArguments)
        {
            TorchSharp.torch.manual_seed(SeedOf($"{testMethod.TestClass.Class.Name}.{method.Name}")).Dispose();
            return base.RunTestMethodAsync(testMethod, method, testCases, constructorArguments);
        }
    }
}
