namespace System.Runtime.CompilerServices;

/// <summary>
/// Makes the runtime let this assembly use the internal members of another one. ML.NET has no public way to save and load an external
/// transformer; the build lets the compiler see the members (build/OpenMLNetReferences.targets), and this lets them be called.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
internal sealed class IgnoresAccessChecksToAttribute(string assemblyName) : Attribute
{
    public string AssemblyName { get; } = assemblyName;
}
