#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Seal a model: a file that was changed on its way is refused, with what is wrong in it.
using Microsoft.ML;
using Microsoft.ML.Data;

string file = Path.Combine(Path.GetTempPath(), "recipe-sealed.zip");
var mlContext = new MLContext(seed: 1);
IDataView rows = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 100).Select(i => new Row { Features = [i], Label = i }).ToArray());
using var model = mlContext.Regression.Trainers.NeuralOde(numberOfEpochs: 1).Fit(rows);
string seal = mlContext.Model.SaveSealed(model, rows.Schema, file);
mlContext.Model.LoadSealed(file, out _, new() { ExpectedSeal = seal });
Console.WriteLine($"loaded; the seal has {seal.Length} digits");

byte[] bytes = File.ReadAllBytes(file);
bytes[bytes.Length / 2] ^= 1;
File.WriteAllBytes(file, bytes);
try { mlContext.Model.LoadSealed(file, out _, new() { ExpectedSeal = seal }); }
catch (InvalidDataException) { Console.WriteLine("One bit was changed: refused."); }
File.Delete(file);

class Row { [VectorType(1)] public float[] Features = []; public float Label; }
