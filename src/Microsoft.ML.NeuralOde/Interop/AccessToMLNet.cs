using System.Runtime.CompilerServices;
using Microsoft.ML;
using Microsoft.ML.NeuralOde;

[assembly: IgnoresAccessChecksTo("Microsoft.ML.Core")]
[assembly: IgnoresAccessChecksTo("Microsoft.ML.Data")]

[assembly: LoadableClass(typeof(NeuralOdeClassificationTransformer), typeof(NeuralOdeClassificationTransformer), null, typeof(SignatureLoadModel),
    "Neural ODE classification", NeuralOdeClassificationTransformer.LoaderSignature)]
[assembly: LoadableClass(typeof(NeuralOdeBinaryClassificationTransformer), typeof(NeuralOdeBinaryClassificationTransformer), null, typeof(SignatureLoadModel),
    "Neural ODE binary classification", NeuralOdeBinaryClassificationTransformer.LoaderSignature)]
[assembly: LoadableClass(typeof(NeuralOdeRegressionTransformer), typeof(NeuralOdeRegressionTransformer), null, typeof(SignatureLoadModel),
    "Neural ODE regression", NeuralOdeRegressionTransformer.LoaderSignature)]
[assembly: LoadableClass(typeof(ContinuousFlowDensityTransformer), typeof(ContinuousFlowDensityTransformer), null, typeof(SignatureLoadModel),
    "Continuous flow density", ContinuousFlowDensityTransformer.LoaderSignature)]
[assembly: LoadableClass(typeof(ContinuousFlowAnomalyTransformer), typeof(ContinuousFlowAnomalyTransformer), null, typeof(SignatureLoadModel),
    "Continuous flow anomaly detection", ContinuousFlowAnomalyTransformer.LoaderSignature)]
