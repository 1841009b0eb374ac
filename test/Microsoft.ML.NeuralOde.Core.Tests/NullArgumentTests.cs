using System.Reflection;
using System.Runtime.CompilerServices;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests;

/// <summary>Every public constructor and method refuses null by the parameter's name where its signature says that there must be something.</summary>
public class NullArgumentTests
{
    /// <summary>Results, which the library alone makes.</summary>
    private static readonly Type[] Results =
        [typeof(NativeOdeOccurrence), typeof(OdeEventOccurrence), typeof(OdeFittedParameter), typeof(TorchRuntimeException)];

    private static readonly NullabilityInfoContext Nullability = new();

    /// <summary>What stands in for the other arguments, by type.</summary>
    private static readonly (Type Type, Func<object> Create)[] Samples =
    [
        (typeof(Tensor), () => ones(2, 3)),
        (typeof(string), () => "name"),
        (typeof(OdeSolverOptions), () => new OdeSolverOptions()),
        (typeof(OdeMethod), () => OdeMethod.Rk4),
        (typeof(nn.Module<Tensor, Tensor, Tensor>), () => new DenseDynamics(3)),
        (typeof(DenseDynamics), () => new DenseDynamics(3)),
        (typeof(OdeFunction), () => (OdeFunction)((t, y, dy) => dy.Clear())),
        (typeof(Func<Tensor, Tensor, Tensor>), () => (Func<Tensor, Tensor, Tensor>)((t, y) => y)),
        (typeof(Func<Tensor, Tensor>), () => (Func<Tensor, Tensor>)(y => y)),
        (typeof(Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor>), () => (Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor>)((t, y, a) => y)),
        (typeof(Func<Tensor, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>>),
            () => (Func<Tensor, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>>)((t, y) => y)),
        (typeof(IReadOnlyList<Tensor>), () => new Tensor[] { ones(2, 3) }),
        (typeof(IEnumerable<Parameter>), () => new[] { new Parameter(ones(2)) }),
        (typeof(IReadOnlyList<double>), () => new[] { 0.0, 1 }),
        (typeof(double[]), () => new[] { 0.0, 1 }),
        (typeof(int[]), () => new[] { 4 }),
        (typeof(long[]), () => new[] { 4L }),
        (typeof(RungeKuttaTableau), () => new RungeKuttaTableau { Order = 1, Nodes = [0], Matrix = [[]], Weights = [1] }),
        (typeof(TraceEstimator), () => TraceEstimator.Exact),
        (typeof(ContinuousFlowOptions), () => new ContinuousFlowOptions()),
    ];

    public static TheoryData<string> Members
    {
        get
        {
            var data = new TheoryData<string>();
            foreach (string name in Entries().Select(entry => entry.Name))
                data.Add(name);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Members))]
    public void Null_is_refused_by_name(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        (_, MethodBase member, ParameterInfo missing) = Entries().Single(entry => entry.Name == name);
        object?[] arguments = Array.ConvertAll(member.GetParameters(), parameter => parameter == missing ? null : Sample(parameter));
        Exception? thrown = Record.Exception(() =>
            member is ConstructorInfo constructor ? constructor.Invoke(arguments) : member.Invoke(null, arguments));
        Exception? cause = (thrown as TargetInvocationException)?.InnerException;
        (cause as ArgumentNullException)?.ParamName.Should().BeEquivalentTo(missing.Name, name);
        cause.Should().BeOfType<ArgumentNullException>(name);
    }

    [Fact]
    public void There_are_many_of_them() => Entries().Should().HaveCountGreaterThan(40);

    private static IEnumerable<(string Name, MethodBase Member, ParameterInfo Missing)> Entries()
    {
        foreach (Type type in typeof(Ode).Assembly.GetExportedTypes().Where(type => (!type.IsAbstract || type.IsSealed) && !Results.Contains(type)))
            foreach (MethodBase member in type.GetConstructors().Cast<MethodBase>()
                .Concat(type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly)))
                foreach (ParameterInfo parameter in member.GetParameters())
                    if (IsAsked(member) && !parameter.ParameterType.IsValueType && !parameter.ParameterType.IsByRef
                        && Nullability.Create(parameter).WriteState == NullabilityState.NotNull
                        && member.GetParameters().All(other => other == parameter || HasSample(other)))
                        yield return ($"{type.Name}.{member}: {parameter.Name}", member, parameter);

        // What the compiler makes of records and operators, and what takes spans, which reflection cannot hand over.
        static bool IsAsked(MethodBase member) =>
            !member.IsSpecialName && !member.ContainsGenericParameters && member.GetCustomAttribute<CompilerGeneratedAttribute>() is null
                && !member.GetParameters().Any(parameter => parameter.ParameterType.IsByRefLike)
            || (member is ConstructorInfo && !member.GetParameters().Any(parameter => parameter.ParameterType.IsByRefLike
                || parameter.ParameterType == member.DeclaringType));
    }

    private static bool HasSample(ParameterInfo parameter) =>
        parameter.HasDefaultValue || parameter.ParameterType.IsValueType || Array.Exists(Samples, sample => sample.Type == parameter.ParameterType);

    private static object? Sample(ParameterInfo parameter) =>
        Array.Find(Samples, sample => sample.Type == parameter.ParameterType) is { Create: { } create } ? create()
        : parameter.HasDefaultValue ? parameter.DefaultValue is DBNull ? null : parameter.DefaultValue
        : parameter.ParameterType == typeof(double) ? 1.0 + parameter.Position
        : parameter.ParameterType == typeof(int) ? 1
        : parameter.ParameterType == typeof(long) ? 3L
        : RuntimeHelpers.GetUninitializedObject(parameter.ParameterType);
}
