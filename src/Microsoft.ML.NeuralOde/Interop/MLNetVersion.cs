using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Runtime.CompilerServices;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Interop;

/// <summary>
/// Looks, before any of them is called, whether the ML.NET that is loaded has the internal members that this library calls. They are no
/// promise of ML.NET's: a version that was not tested may lack one, and the runtime would only say that a method was not found.
/// </summary>
internal static class MLNetVersion
{
    private const string MLNetAssemblies = "Microsoft.ML.";

    private static readonly Lazy<string?> Problem = new(FindProblem);

    /// <exception cref="NotSupportedException">The ML.NET that is loaded lacks a member; the message names it, and the version that was
    /// tested.</exception>
    public static void Check()
    {
        if (Problem.Value is { } problem)
            throw new NotSupportedException(problem);
    }

    private static string? FindProblem()
    {
        Assembly library = typeof(MLNetVersion).Assembly;
        string tested = library.GetCustomAttributes<AssemblyMetadataAttribute>()
            .First(attribute => attribute.Key == "MicrosoftMLVersion").Value!;
        string found = VersionOf(typeof(MLContext).Assembly);
        return found != tested && FindMissing(library) is { } missing
            ? $"Microsoft.ML {found} has no '{missing}', which {library.GetName().Name} {VersionOf(library)} needs. It was tested with "
                + $"Microsoft.ML {tested}: reference that version, or a version of {library.GetName().Name} that was made for yours."
            : null;
    }

    /// <summary>The first type or member of ML.NET's that an assembly refers to and that does not exist; null for none.</summary>
    public static unsafe string? FindMissing(Assembly assembly)
    {
        if (!assembly.TryGetRawMetadata(out byte* metadata, out int length))
            return null;
        var reader = new MetadataReader(metadata, length);
        Module module = assembly.ManifestModule;
        foreach (TypeReferenceHandle handle in reader.TypeReferences)
            if (IsMLNet(reader, handle) && !Exists(() => module.ResolveType(MetadataTokens.GetToken(handle))))
                return NameOf(reader, handle);
        foreach (MemberReferenceHandle handle in reader.MemberReferences)
        {
            MemberReference member = reader.GetMemberReference(handle);
            if (member.Parent.Kind == HandleKind.TypeReference && IsMLNet(reader, (TypeReferenceHandle)member.Parent)
                && !Exists(() => module.ResolveMember(MetadataTokens.GetToken(handle))))
                return $"{NameOf(reader, (TypeReferenceHandle)member.Parent)}.{reader.GetString(member.Name)}";
        }
        return null;
    }

    private static bool Exists(Func<MemberInfo?> resolve)
    {
        try
        {
            return resolve() is not null;
        }
        catch (Exception exception) when (exception is TypeLoadException or MissingMemberException)
        {
            return false;
        }
    }

    private static bool IsMLNet(MetadataReader reader, TypeReferenceHandle handle)
    {
        TypeReference type = reader.GetTypeReference(handle);
        return type.ResolutionScope.Kind switch
        {
            HandleKind.TypeReference => IsMLNet(reader, (TypeReferenceHandle)type.ResolutionScope),
            HandleKind.AssemblyReference =>
                IsMLNet(reader.GetString(reader.GetAssemblyReference((AssemblyReferenceHandle)type.ResolutionScope).Name)),
            _ => false,
        };
    }

    // This library's own assemblies have names of the same kind.
    private static bool IsMLNet(string assembly) =>
        assembly.StartsWith(MLNetAssemblies, StringComparison.Ordinal)
            && !assembly.StartsWith(typeof(MLNetVersion).Assembly.GetName().Name!, StringComparison.Ordinal);

    private static string NameOf(MetadataReader reader, TypeReferenceHandle handle)
    {
        TypeReference type = reader.GetTypeReference(handle);
        string name = reader.GetString(type.Name);
        if (type.ResolutionScope.Kind == HandleKind.TypeReference)
            return $"{NameOf(reader, (TypeReferenceHandle)type.ResolutionScope)}.{name}";
        string space = reader.GetString(type.Namespace);
        return space.Length > 0 ? $"{space}.{name}" : name;
    }

    private static string VersionOf(Assembly assembly) =>
        assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";
}

/// <summary>The environments of ML.NET's catalogs, where every use of this library begins.</summary>
internal static class Environments
{
    // Where a member that a method calls is missing, the method cannot even be entered: the calls are in methods of their own, behind the
    // check.

    public static Runtime.IHostEnvironment Of(TrainCatalogBase.CatalogInstantiatorBase catalog)
    {
        MLNetVersion.Check();
        return Get(catalog);
    }

    public static Runtime.IHostEnvironment Of(TrainCatalogBase catalog)
    {
        MLNetVersion.Check();
        return Get(catalog);
    }

    public static Runtime.IHostEnvironment Of(TransformsCatalog catalog)
    {
        MLNetVersion.Check();
        return Get(catalog);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Runtime.IHostEnvironment Get(TrainCatalogBase.CatalogInstantiatorBase catalog) => CatalogUtils.GetEnvironment(catalog);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Runtime.IHostEnvironment Get(TrainCatalogBase catalog) => CatalogUtils.GetEnvironment(catalog);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Runtime.IHostEnvironment Get(TransformsCatalog catalog) => CatalogUtils.GetEnvironment(catalog);
}
