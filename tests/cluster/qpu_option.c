/*
 * Gives sbatch, salloc and srun the option `--qpu=NAME[,NAME...]`, and every task of the job the
 * value as QCSC_QPU: what sites with a quantum computer add to Slurm, at its smallest.
 *
 * The value is checked where it is typed, so that a bad one is refused before there is a job.
 * It travels in the job's control environment, which reaches the tasks under a prefix even if the
 * job was submitted with --export=NONE; Slurm's own way, the option replayed on the node, does not.
 * See spank(7).
 */
#include <slurm/spank.h>
#include <stdlib.h>
#include <string.h>

SPANK_PLUGIN(qcsc_qpu, 1)

#define VARIABLE "QCSC_QPU"
#define CARRIED "SLURM_SPANK_" VARIABLE
#define ALLOWED "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,"

static char requested[256];

static int remember(int tag, const char *value, int remote)
{
    (void)tag;
    (void)remote;
    size_t length = value ? strlen(value) : 0;
    if (length == 0 || length >= sizeof requested || strspn(value, ALLOWED) != length) {
        slurm_error("--qpu: \"%s\" is no list of QPU names", value ? value : "");
        return ESPANK_BAD_ARG;
    }
    memcpy(requested, value, length + 1);
    return ESPANK_SUCCESS;
}

static struct spank_option qpu = {
    .name = "qpu",
    .arginfo = "names",
    .usage = "QPUs that the job uses, separated by commas",
    .has_arg = 1,
    .cb = remember,
};

int slurm_spank_init(spank_t job, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return spank_option_register(job, &qpu);
}

/* In sbatch, salloc and srun, once the command line is read; what salloc starts is its child. */
int slurm_spank_init_post_opt(spank_t job, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (spank_remote(job) || !requested[0])
        return ESPANK_SUCCESS;
    if (spank_context() == S_CTX_ALLOCATOR)
        setenv(VARIABLE, requested, 1);
    return spank_job_control_setenv(job, VARIABLE, requested, 1);
}

/* On the node, before each task: a step without the option of its own has its job's. */
int slurm_spank_task_init(spank_t job, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (!requested[0] && spank_getenv(job, CARRIED, requested, sizeof requested) != ESPANK_SUCCESS)
        return ESPANK_SUCCESS;
    return spank_setenv(job, VARIABLE, requested, 1);
}
