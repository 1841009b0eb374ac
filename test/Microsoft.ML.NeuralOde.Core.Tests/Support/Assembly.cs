// Some tests count the live tensors of the process, and two cores gain little from running the others side by side.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: TestFramework("Microsoft.ML.NeuralOde.TestData.SeededTests", "Microsoft.ML.NeuralOde.Core.Tests")]
