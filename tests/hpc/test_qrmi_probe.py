from hpc.test_qrmi import *  # noqa
from hpc.test_qrmi import ibm, site  # noqa
from waiting import until_async
for _n in [n for n in dir() if n.startswith("test_")]:
    del globals()[_n]

@on_real
async def test_requeue_real(site):
    site.ibm.hold()
    async with site.asking() as asked:
        await anyio.to_thread.run_sync(site.place.queue.requeue, await_id(site))
        output = site.folder() / "output.log"
        await until_async(lambda: asked.done() or "going on with task" in output.read_text(), "it goes on")
        site.ibm.release()
        try:
            print("RESULT", is_ghz(await asked))
        finally:
            print(output.read_text(), [t.state for t in site.tasks])

def await_id(site):
    return site.hook.job_id

@on_fake
async def test_preempt_fake(site):
    site.ibm.hold()
    site.place = site.place.at(extra_directives=list(site.place.once))
    async with site.asking() as asked:
        fake = site.place.fake
        fake.preempt(fake.jobs()[0].id)
        await until_async(lambda: asked.done() or len(fake.jobs()) == 2, "another")
        site.ibm.release()
        try:
            print("RESULT", is_ghz(await asked))
        finally:
            print([t.state for t in site.tasks], [j.state for j in fake.jobs()])

@on_fake
async def test_preempt_requeue_fake(site):
    site.ibm.hold()
    async with site.asking() as asked:
        fake = site.place.fake
        fake.preempt(fake.jobs()[0].id)
        output = site.folder() / "output.log"
        await until_async(lambda: asked.done() or "going on with task" in output.read_text(), "it goes on")
        site.ibm.release()
        try:
            print("RESULT", is_ghz(await asked))
        finally:
            print(output.read_text(), [t.state for t in site.tasks], [j.state for j in fake.jobs()])
