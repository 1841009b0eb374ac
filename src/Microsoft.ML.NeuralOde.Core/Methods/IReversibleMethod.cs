namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>A method whose steps can be undone from their ends.</summary>
internal interface IReversibleMethod
{
    /// <summary>The factor by which undoing a step amplifies rounding.</summary>
    double UndoGrowth { get; }

    /// <summary>Has the factory make what the method's own algebra asks for.</summary>
    T Undo<T>(IUndoFactory<T> factory);
}

/// <summary>Makes something for each algebra by which steps are undone: a new one is a member here, which no factory can forget.</summary>
internal interface IUndoFactory<out T>
{
    /// <summary>For the coupling of an explicit Runge–Kutta method.</summary>
    T ForCoupling(ButcherTableau tableau, double coupling);

    /// <summary>For reversible Heun.</summary>
    T ForReversibleHeun();
}
