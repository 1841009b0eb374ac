using System.Reflection;
using System.Text;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Compatibility;

/// <summary>Programs with another ML.NET than the tested one.</summary>
public sealed class MLNetVersionTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_tested_version_has_all_that_is_called()
    {
        MLNetVersion.FindMissing(typeof(NeuralOdeModel).Assembly).Should().BeNull();
        MLNetVersion.Check();
    }

    [Theory]
    // Of each kind one that ML.NET itself does not need for loading a model: a method and a type.
    [InlineData("Microsoft.ML.Core.dll", "GetTrainerOutputAnnotation", "Microsoft.ML.Data.AnnotationUtils.GetTrainerOutputAnnotation")]
    [InlineData("Microsoft.ML.Data.dll", "OnnxNode", "Microsoft.ML.Model.OnnxConverter.OnnxNode")]
    [InlineData("", null, null)]
    public void A_version_that_lacks_something_is_named_with_what_it_lacks_and_what_to_do(string assembly, string? renamed, string? named)
    {
        string version =
            typeof(MLContext).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
        string other = version[..^1] + (char)(version[^1] == '9' ? '8' : version[^1] + 1);
        var mlContext = new MLContext(1);
        string model = Path.Combine(_folder, "model.zip");
        mlContext.Model.Save(Fitted.Model(mlContext, Fitted.Options(o => o.NumberOfEpochs = 1)), null, model);
        foreach (string file in Directory.GetFiles(AppContext.BaseDirectory, "*.dll")
            .Concat(Directory.GetFiles(AppContext.BaseDirectory, "*ModelHost*.json")))
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
        Replace("Microsoft.ML.Data.dll", $"{version}+", $"{other}+");
        if (renamed is not null)
            Replace(assembly, $"\0{renamed}\0", $"\0{renamed[..^1]}_\0");

        string output = Programs.Run(Path.Combine(_folder, Programs.ModelHost), [model, "0.5", "1"]).Output;

        if (named is null)
            output.Should().NotContain(other, "what it calls is all there");
        else
            output.Should()
            .Match($"NotSupportedException: Microsoft.ML {other} has no '{named}', which Microsoft.ML.NeuralOde * needs. It was tested with Microsoft.ML {version}*");
    }

    private void Replace(string assembly, string from, string to)
    {
        string file = Path.Combine(_folder, assembly);
        byte[] bytes = File.ReadAllBytes(file);
        int place = bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(from));
        place.Should().BePositive(from);
        Encoding.UTF8.GetBytes(to).CopyTo(bytes, place);
        bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(from)).Should().Be(-1, $"'{from}' stands there once");
        File.WriteAllBytes(file, bytes);
    }
}
