namespace Microsoft.ML.NeuralOde;

/// <summary>The publications that methods, gradients and models name as theirs.</summary>
internal static class Publications
{
    public static readonly Citation Kutta = new("article", "kutta1901",
        ("author", "Kutta, Wilhelm"),
        ("title", "Beitrag zur n{\\\"a}herungsweisen Integration totaler Differentialgleichungen"),
        ("journal", "Zeitschrift f{\\\"u}r Mathematik und Physik"), ("volume", "46"), ("pages", "435--453"), ("year", "1901"));

    public static readonly Citation Heun = new("article", "heun1900",
        ("author", "Heun, Karl"),
        ("title", "Neue Methoden zur approximativen Integration der Differentialgleichungen einer unabh{\\\"a}ngigen Ver{\\\"a}nderlichen"),
        ("journal", "Zeitschrift f{\\\"u}r Mathematik und Physik"), ("volume", "45"), ("pages", "23--38"), ("year", "1900"));

    public static readonly Citation Ralston = new("article", "ralston1962",
        ("author", "Ralston, Anthony"), ("title", "{Runge--Kutta} methods with minimum error bounds"),
        ("journal", "Mathematics of Computation"), ("volume", "16"), ("number", "80"), ("pages", "431--437"), ("year", "1962"));

    public static readonly Citation Fehlberg = new("techreport", "fehlberg1969",
        ("author", "Fehlberg, Erwin"),
        ("title", "Low-order classical {Runge--Kutta} formulas with stepsize control and their application to some heat transfer problems"),
        ("institution", "NASA"), ("number", "TR R-315"), ("year", "1969"));

    public static readonly Citation BogackiShampine = new("article", "bogacki1989",
        ("author", "Bogacki, Przemyslaw and Shampine, Lawrence F."), ("title", "A 3(2) pair of {Runge--Kutta} formulas"),
        ("journal", "Applied Mathematics Letters"), ("volume", "2"), ("number", "4"), ("pages", "321--325"), ("year", "1989"));

    public static readonly Citation Tsitouras = new("article", "tsitouras2011",
        ("author", "Tsitouras, Charalampos"),
        ("title", "{Runge--Kutta} pairs of order 5(4) satisfying only the first column simplifying assumption"),
        ("journal", "Computers \\& Mathematics with Applications"), ("volume", "62"), ("number", "2"), ("pages", "770--775"),
        ("year", "2011"));

    public static readonly Citation DormandPrince = new("article", "dormand1980",
        ("author", "Dormand, John R. and Prince, Peter J."), ("title", "A family of embedded {Runge--Kutta} formulae"),
        ("journal", "Journal of Computational and Applied Mathematics"), ("volume", "6"), ("number", "1"), ("pages", "19--26"),
        ("year", "1980"));

    public static readonly Citation HairerNonstiff = new("book", "hairer1993",
        ("author", "Hairer, Ernst and N{\\o}rsett, Syvert P. and Wanner, Gerhard"),
        ("title", "Solving Ordinary Differential Equations {I}: Nonstiff Problems"), ("edition", "2"), ("publisher", "Springer"),
        ("year", "1993"));

    public static readonly Citation HairerStiff = new("book", "hairer1996",
        ("author", "Hairer, Ernst and Wanner, Gerhard"),
        ("title", "Solving Ordinary Differential Equations {II}: Stiff and Differential-Algebraic Problems"),
        ("edition", "2"), ("publisher", "Springer"), ("year", "1996"));

    public static readonly Citation HairerGeometric = new("book", "hairer2006",
        ("author", "Hairer, Ernst and Lubich, Christian and Wanner, Gerhard"),
        ("title", "Geometric Numerical Integration: Structure-Preserving Algorithms for Ordinary Differential Equations"),
        ("edition", "2"), ("publisher", "Springer"), ("year", "2006"));

    public static readonly Citation Alexander = new("article", "alexander1977",
        ("author", "Alexander, Roger"), ("title", "Diagonally implicit {Runge--Kutta} methods for stiff {O.D.E.'s}"),
        ("journal", "SIAM Journal on Numerical Analysis"), ("volume", "14"), ("number", "6"), ("pages", "1006--1021"), ("year", "1977"));

    public static readonly Citation HoseaShampine = new("article", "hosea1996",
        ("author", "Hosea, Michael E. and Shampine, Lawrence F."), ("title", "Analysis and implementation of {TR-BDF2}"),
        ("journal", "Applied Numerical Mathematics"), ("volume", "20"), ("pages", "21--37"), ("year", "1996"));

    public static readonly Citation Kvaerno = new("article", "kvaerno2004",
        ("author", "Kv{\\ae}rn{\\o}, Anne"), ("title", "Singly diagonally implicit {Runge--Kutta} methods with an explicit first stage"),
        ("journal", "BIT Numerical Mathematics"), ("volume", "44"), ("pages", "489--502"), ("year", "2004"));

    public static readonly Citation KennedyAdditive = new("article", "kennedy2003",
        ("author", "Kennedy, Christopher A. and Carpenter, Mark H."),
        ("title", "Additive {Runge--Kutta} schemes for convection--diffusion--reaction equations"),
        ("journal", "Applied Numerical Mathematics"), ("volume", "44"), ("pages", "139--181"), ("year", "2003"));

    public static readonly Citation KennedyDiagonal = new("article", "kennedy2019",
        ("author", "Kennedy, Christopher A. and Carpenter, Mark H."),
        ("title", "Diagonally implicit {Runge--Kutta} methods for stiff {ODEs}"),
        ("journal", "Applied Numerical Mathematics"), ("volume", "146"), ("pages", "221--244"), ("year", "2019"));

    public static readonly Citation ShampineGordon = new("book", "shampine1975",
        ("author", "Shampine, Lawrence F. and Gordon, Marilyn K."),
        ("title", "Computer Solution of Ordinary Differential Equations: The Initial Value Problem"), ("publisher", "W. H. Freeman"),
        ("year", "1975"));

    public static readonly Citation Petzold = new("article", "petzold1983",
        ("author", "Petzold, Linda"),
        ("title", "Automatic selection of methods for solving stiff and nonstiff systems of ordinary differential equations"),
        ("journal", "SIAM Journal on Scientific and Statistical Computing"), ("volume", "4"), ("number", "1"), ("pages", "136--148"),
        ("year", "1983"));

    public static readonly Citation ReversibleHeun = new("inproceedings", "kidger2021",
        ("author", "Kidger, Patrick and Foster, James and Li, Xuechen and Lyons, Terry"),
        ("title", "Efficient and accurate gradients for neural {SDEs}"),
        ("booktitle", "Advances in Neural Information Processing Systems"), ("volume", "34"), ("year", "2021"));

    public static readonly Citation ReversibleCoupling = new("article", "mccallum2024",
        ("author", "McCallum, Sam and Foster, James"), ("title", "Efficient, accurate and stable gradients for neural {ODEs}"),
        ("journal", "arXiv preprint arXiv:2410.11648"), ("year", "2024"));

    public static readonly Citation NeuralOde = new("inproceedings", "chen2018",
        ("author", "Chen, Ricky T. Q. and Rubanova, Yulia and Bettencourt, Jesse and Duvenaud, David"),
        ("title", "Neural ordinary differential equations"),
        ("booktitle", "Advances in Neural Information Processing Systems"), ("volume", "31"), ("year", "2018"));

    public static readonly Citation Revolve = new("article", "griewank2000",
        ("author", "Griewank, Andreas and Walther, Andrea"),
        ("title", "Algorithm 799: revolve: an implementation of checkpointing for the reverse or adjoint mode of computational differentiation"),
        ("journal", "ACM Transactions on Mathematical Software"), ("volume", "26"), ("number", "1"), ("pages", "19--45"), ("year", "2000"));

    public static readonly Citation Ffjord = new("inproceedings", "grathwohl2019",
        ("author", "Grathwohl, Will and Chen, Ricky T. Q. and Bettencourt, Jesse and Sutskever, Ilya and Duvenaud, David"),
        ("title", "{FFJORD}: free-form continuous dynamics for scalable reversible generative models"),
        ("booktitle", "International Conference on Learning Representations"), ("year", "2019"));

    public static readonly Citation Augmented = new("inproceedings", "dupont2019",
        ("author", "Dupont, Emilien and Doucet, Arnaud and Teh, Yee Whye"), ("title", "Augmented neural {ODEs}"),
        ("booktitle", "Advances in Neural Information Processing Systems"), ("volume", "32"), ("year", "2019"));

    public static readonly Citation SecondOrder = new("inproceedings", "norcliffe2020",
        ("author", "Norcliffe, Alexander and Bodnar, Cristian and Day, Ben and Simidjievski, Nikola and Li{\\`o}, Pietro"),
        ("title", "On second order behaviour in augmented neural {ODEs}"),
        ("booktitle", "Advances in Neural Information Processing Systems"), ("volume", "33"), ("year", "2020"));

    public static readonly Citation HeavyBall = new("inproceedings", "xia2021",
        ("author", "Xia, Hedi and Suliafu, Vai and Ji, Hangjie and Nguyen, Tan M. and Bertozzi, Andrea L. and Osher, Stanley J. and Wang, Bao"),
        ("title", "Heavy ball neural ordinary differential equations"),
        ("booktitle", "Advances in Neural Information Processing Systems"), ("volume", "34"), ("year", "2021"));

    public static readonly Citation Hamiltonian = new("inproceedings", "greydanus2019",
        ("author", "Greydanus, Samuel and Dzamba, Misko and Yosinski, Jason"), ("title", "Hamiltonian neural networks"),
        ("booktitle", "Advances in Neural Information Processing Systems"), ("volume", "32"), ("year", "2019"));

    public static readonly Citation Residual = new("inproceedings", "he2016",
        ("author", "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian"),
        ("title", "Deep residual learning for image recognition"),
        ("booktitle", "IEEE Conference on Computer Vision and Pattern Recognition"), ("pages", "770--778"), ("year", "2016"));

    public static readonly Citation NeuralCde = new("inproceedings", "kidger2020",
        ("author", "Kidger, Patrick and Morrill, James and Foster, James and Lyons, Terry"),
        ("title", "Neural controlled differential equations for irregular time series"),
        ("booktitle", "Advances in Neural Information Processing Systems"), ("volume", "33"), ("year", "2020"));

    public static readonly Citation LogNeuralCde = new("inproceedings", "walker2024",
        ("author", "Walker, Benjamin and McLeod, Andrew D. and Qin, Tiexin and Cheng, Yichuan and Li, Haoliang and Lyons, Terry"),
        ("title", "Log neural controlled differential equations: the {Lie} brackets make a difference"),
        ("booktitle", "International Conference on Machine Learning"), ("year", "2024"));

    public static readonly Citation LinearCde = new("article", "walker2025",
        ("author", "Walker, Benjamin and Yang, Lingyi and Muca Cirone, Nicola and Salvi, Cristopher and Lyons, Terry"),
        ("title", "Structured linear {CDEs}: maximally expressive and parallel-in-time sequence models"),
        ("journal", "arXiv preprint arXiv:2505.17761"), ("year", "2025"));
}
