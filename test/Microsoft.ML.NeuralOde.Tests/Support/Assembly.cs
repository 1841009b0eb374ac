// Some tests count the live tensors of the process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: TestFramework("Microsoft.ML.NeuralOde.TestData.SeededTests", "Microsoft.ML.NeuralOde.Tests")]
