#!/bin/bash
#SBATCH --job-name=neural-ode
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
# Two minutes before the time is over, or where the job is pre-empted, the training ends with a checkpoint ...
#SBATCH --signal=TERM@120
# ... and a pre-empted job comes back into the queue, to go on from there. After its time is over, hand it in again.
#SBATCH --requeue
module load mpich
export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"
# Without pmi2 each task would be a job of one. Open MPI's srun setting, pmix, is not for this library.
srun --mpi=pmi2 dotnet Training.dll --distributed --checkpoints "$SLURM_SUBMIT_DIR/checkpoints"
