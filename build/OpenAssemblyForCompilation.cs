using System.IO;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// MSBuild task: writes copies of assemblies in which internal types and members count as public (and `private protected` ones as
/// `protected`), for the compiler's eyes only. See OpenMLNetReferences.targets.
/// </summary>
public class OpenAssemblyForCompilation : Task
{
    private const int AccessMask = 7;

    [Required]
    public ITaskItem[] Sources { get; set; }

    [Required]
    public string OutputFolder { get; set; }

    public override bool Execute()
    {
        Directory.CreateDirectory(OutputFolder);
        foreach (ITaskItem source in Sources)
        {
            byte[] image = File.ReadAllBytes(source.ItemSpec);
            using (var reader = new PEReader(new MemoryStream((byte[])image.Clone())))
            {
                MetadataReader metadata = reader.GetMetadataReader();
                int start = reader.PEHeaders.MetadataStartOffset;
                // ECMA-335 II.22: the visibility is the low three bits of Flags, which is the first column of TypeDef and Field
                // and follows RVA (4) and ImplFlags (2) in MethodDef.
                Open(image, metadata, start, TableIndex.TypeDef, 0, v => v == 0 ? 1 : v >= 5 ? 2 : v);
                Open(image, metadata, start, TableIndex.MethodDef, 6, OpenMember);
                Open(image, metadata, start, TableIndex.Field, 0, OpenMember);
            }
            File.WriteAllBytes(Path.Combine(OutputFolder, Path.GetFileName(source.ItemSpec)), image);
        }
        return true;
    }

    // FamANDAssem (private protected) -> Family; Assem (internal) and FamORAssem (protected internal) stay callable: 3 -> Public.
    private static int OpenMember(int visibility) => visibility == 2 ? 4 : visibility == 3 ? 6 : visibility;

    private static void Open(byte[] image, MetadataReader metadata, int start, TableIndex table, int column, System.Func<int, int> opened)
    {
        int offset = start + metadata.GetTableMetadataOffset(table) + column;
        int rowSize = metadata.GetTableRowSize(table);
        int rows = metadata.GetTableRowCount(table);
        for (int row = 0; row < rows; row++, offset += rowSize)
            image[offset] = (byte)(image[offset] & ~AccessMask | opened(image[offset] & AccessMask));
    }
}
