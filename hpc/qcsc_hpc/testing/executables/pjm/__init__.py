"""PJM, the job manager of Fujitsu's Technical Computing Suite, as on Fugaku.

Nothing real was at hand. Known, and from where:

* The columns of `pjstat -v` and `pjstat -H -v` with their widths, a row of a job that ended well and
  one of a job that reached its time limit (EXT, EC 0, PC 11, SN 24, "ELAPSE LIMIT EXC"): output
  of Fugaku and of BSC's CTE-ARM, kept in the tests of qcsc-prefect, of R-CCS's web API and of
  Autosubmit. A job's name is cut to 10 characters, a reason to 16, users and groups to 8; a
  waiting job's START_DATE is an estimate in brackets without seconds.
* The columns of pjstat without -v: "Supercomputer Fugaku Users Guide - Use and job execution",
  5.12 Displaying a job status. The PJM codes 0 to 27: the same, 5.16.1 Job manager exit code.
  The states and the reasons in full: a PSI/J executor for PJM.
* `--choose jid,st,ermsg` and `--filter "jid=1+2"`, `--filter "jnam=NAME"`: Autosubmit's PJM
  platform, which runs on CTE-ARM; from its tests REASON's width of 31 there.
* "[INFO] PJM 0000 pjsub Job 1 submitted.", "[ERR.] PJM 0020 pjsub Cannot open the file (x) : 2.",
  "[ERR.] PJM 0057 pjsub node=32 is greater than the upper limit (24).", "[ERR.] PJM 0071 pjsub
  Group not authorized to submit a job: group(1)", "[INFO] PJM 0100 pjdel Accepted job 1.",
  "[ERR.] PJM 0211 pjstat Invalid jobid: x.": output quoted by public projects.
* At the time limit a job gets SIGXCPU, and SIGKILL later: launchers written for Fugaku trap it.

* Each rank's output is in `./output.JOBID/0/N/stdout.N.RANK`: Users Guide 6.4; that is mpiexec's doing,
  and tests have one that does so.

Assumed:

* `pjstat -v ID` is a header alone when the job has ended or was never there, with exit code 0;
  `pjstat -H -v` has only jobs that have ended, of whatever time.
* `--filter jnam` compares the whole name, whatever is shown of it.
* pjdel and an unknown job: "[ERR.] PJM 0112 pjdel Job ID does not exist: 1.", and an ended one:
  "[ERR.] PJM 0113 pjdel Job has already finished: 1.", both with exit code 1.
* The texts for an unknown resource group, for an elapse limit and for a server that is away.
* How it is refused that `gpu=` or `vnode-core=` stands beside `node=` (Genkai: either, never both).
* What a cancelled job has in EC and SN; that a node failure is EXT with PC 20, and an ousted job
  EXT with PC 18; that RJT comes with PC 3 and ERR with PC 28; that a job
  whose script a signal ended has EC 0 and SN; the layout of the statistics file.
"""
