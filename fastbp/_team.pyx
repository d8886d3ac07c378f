"""How the threads share the work of a batch: the only OpenMP in the engine.

Two barriers a step, no reduction, nothing allocated. Only what needs the whole gradient first, clipping by its norm,
has a third and a fourth.
"""

from cython.parallel cimport parallel, threadid

from fastbp._answer cimport Answer, is_finite, write_answer
from fastbp._kernels cimport FB_LINE, fb_dropout
from fastbp._memory cimport Inputs, Workspace
from fastbp._openmp cimport omp_barrier, omp_get_num_threads, omp_get_wtime, omp_take
from fastbp._parameters cimport Tile
from fastbp._phases cimport GRADIENT, LOSS, UPDATE, Job, Phases
from fastbp._signals cimport Watch, goes_on, raise_what_was_raised, watch_over

from fastbp._pace import Pace

# Rows of a shard at most: its activations stay in L2 through all layers.
SHARD_ROWS = 128
# Shards begin on multiples of so many rows: few, so that the threads' shares are nearly equal.
SHARD_UNIT = 4
# Rows of a block of predictions: its activations stay in L2 through all layers.
ANSWER_ROWS = 96
# Floating-point operations that pay for one more thread's part in two barriers.
WORK_PER_THREAD = 1e6
# Floating-point operations that may take so long, without vectors, that Ctrl-C is to be looked for meanwhile.
cdef double MAY_BE_LONG = 1e7


cdef class Team(Phases):
    """A network and the threads that work on it."""

    def __init__(self, sizes, activations, output, loss, dtype, n_threads=1, isa=None, **_):
        self.cut_rows()
        self.n_threads = n_threads

    def cut_rows(self, ptrdiff_t shard_rows=SHARD_ROWS, ptrdiff_t shard_unit=SHARD_UNIT,
                 ptrdiff_t answer_rows=ANSWER_ROWS, double work_per_thread=WORK_PER_THREAD):
        """Say how the rows are shared out, and what work is worth a thread; any numbers give the same results.

        For tests, like `cut_tiles`: they prove just that.
        """
        if min(shard_rows, shard_unit, answer_rows) < 1 or not work_per_thread > 0:
            raise ValueError(f"got {shard_rows}, {shard_unit}, {answer_rows} rows and {work_per_thread} operations, "
                             "expected at least 1 row and more than 0 operations.")
        self.shard_rows, self.shard_unit, self.answer_rows = shard_rows, shard_unit, answer_rows
        self.work_per_thread = work_per_thread

    def shards(self, ptrdiff_t n, int n_threads):
        """The first row of each shard of a batch of n rows, then n."""
        cdef ptrdiff_t shard, n_shards = self._count_shards(n, n_threads)
        return [self._first_row(n, shard, n_shards) for shard in range(n_shards + 1)]

    @property
    def n_threads(self):
        """Threads at most."""
        return self._n_threads

    @n_threads.setter
    def n_threads(self, n_threads):
        if n_threads < 1:
            raise ValueError(f"got n_threads={n_threads}, expected at least 1.")
        if n_threads != self._n_threads:
            self._n_threads = n_threads
            self.answer_pace = Pace(n_threads, n_threads)

    cdef double flops(self, ptrdiff_t rows, bint backward, double density) noexcept nogil:
        """Floating-point operations of one pass: forward, and backward twice that but for the first layer's BP2."""
        cdef double weights = 0
        cdef ptrdiff_t l
        for l in range(1, self.L + 1):
            weights += ((1 if not backward else 2 if l == 1 else 3) * (density if l == 1 else 1)
                        * <double> self.layer[l].n_in * self.layer[l].n_out)
        return 2 * rows * weights

    cdef int worthwhile_threads(self, double flops) noexcept nogil:
        return max(1, <int> min(flops / self.work_per_thread, <double> self._n_threads))

    cdef bint is_brief(self, double flops) noexcept nogil:
        """Too little work for a second thread, and to let another one of Python's run meanwhile."""
        return flops < 2 * self.work_per_thread

    cdef ptrdiff_t _count_shards(self, ptrdiff_t n, int n_threads) noexcept nogil:
        """Shards of a batch: a multiple of the threads, of `shard_rows` at most."""
        cdef ptrdiff_t n_shards = n_threads * ((n + n_threads * self.shard_rows - 1) // (n_threads * self.shard_rows))
        return min(n_shards, (n + self.shard_unit - 1) // self.shard_unit)

    cdef ptrdiff_t _first_row(self, ptrdiff_t n, ptrdiff_t shard, ptrdiff_t n_shards) noexcept nogil:
        """Where one of n_shards shards of n rows begins."""
        cdef ptrdiff_t n_units = (n + self.shard_unit - 1) // self.shard_unit
        return min(n_units * shard // n_shards * self.shard_unit, n)

    cdef ptrdiff_t _first_tile(self, ptrdiff_t part, ptrdiff_t n_parts) noexcept nogil:
        """Where one of n_parts stretches of tiles of equal work begins."""
        cdef Tile *tile = &self.tiles[self.n_tiles - 1]
        cdef ptrdiff_t work = (tile.work + tile.n_rows * tile.n_columns) * part // n_parts
        cdef ptrdiff_t low = 0, high = self.n_tiles, middle
        while low < high:  # the first tile whose middle is at `work` or after
            middle = (low + high) // 2
            tile = &self.tiles[middle]
            if tile.work + tile.n_rows * tile.n_columns // 2 < work:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int run(self, Job *job, Workspace rows, ptrdiff_t first, ptrdiff_t last, int n_threads, int parts) except -1:
        """Some parts of the step (Part) of batches first..last, in one parallel region.

        Beside each phase, thread 0 does what needs one thread. The barriers are explicit: no prange, for a barrier of
        GCC's stands before each that Cython writes. LOSS without GRADIENT is for one batch at a time: its sum has no
        barrier after it. Updates end early, with `job.last` the first batch not done, when their time is over. A
        signal whose handler raises cuts the batch short: its step is taken by some tiles and not by others. Loops are
        passed by then, but no barrier, for the threads learn of it one by one.
        """
        cdef ptrdiff_t batch, shard, n, n_shards, s, tile, first_tile, end_tile
        cdef int thread, n_team
        cdef bint stores = self.clip_norm > 0 or not parts & UPDATE
        job.last = last
        with nogil, parallel(num_threads=n_threads):
            thread = threadid()
            n_team = omp_get_num_threads()
            first_tile = self._first_tile(thread, n_team)
            end_tile = self._first_tile(thread + 1, n_team)
            for batch in range(first, last):
                if batch == job.last:
                    break
                n = min(job.batch_size, job.n - batch * job.batch_size)
                n_shards = self._count_shards(n, n_team)
                if thread == 0:
                    self.begin_batch(job, batch, n, parts)
                for shard in range(n_shards * thread // n_team, n_shards * (thread + 1) // n_team):
                    s = self._first_row(n, shard, n_shards)
                    if goes_on(&job.watch, thread):
                        self.phase_1(rows, job, batch, s, self._first_row(n, shard + 1, n_shards) - s, thread, parts)
                if parts & GRADIENT and job.X.sparse and goes_on(&job.watch, thread):
                    self.sort_entries(rows, job, batch, n, thread, n_team, parts)
                omp_barrier()
                if thread == 0 and parts & LOSS:
                    self.add_loss(job, rows, n)
                if parts & GRADIENT and stores:
                    for tile in range(first_tile, end_tile):
                        if goes_on(&job.watch, thread):
                            self.store_gradient(rows, job, &self.tiles[tile], n, n_team, parts)
                    omp_barrier()
                    if thread == 0 and parts & UPDATE:
                        self.limit_norm()
                    omp_barrier()
                if parts & UPDATE:
                    for tile in range(first_tile, end_tile):
                        if goes_on(&job.watch, thread):
                            self.phase_2(rows, job, &self.tiles[tile], n, n_team)
                    if thread == 0 and (omp_get_wtime() > job.until or not goes_on(&job.watch, 0)):
                        job.last = batch + 1  # read by all after the next barrier
                    omp_barrier()
        return raise_what_was_raised()

    cdef int predict_rows(self, Workspace rows, const Inputs *X, ptrdiff_t n, ptrdiff_t block, int n_threads,
                          Answer *answer) except -1:
        """What is asked of n rows of X, each thread `block` of them at a time in its part of `rows`."""
        cdef ptrdiff_t i, n_blocks = (n + block - 1) // block, next_block = 0
        cdef int thread
        cdef double flops = self.flops(n, False, X.density)
        cdef Watch watch
        if self.is_brief(flops):
            for i in range(n_blocks):
                self._predict_block(rows, X, i * block, min(block, n - i * block), 0, 0, answer)
            return 0
        watch_over(&watch, flops > MAY_BE_LONG)
        with nogil, parallel(num_threads=n_threads):
            thread = threadid()
            i = omp_take(&next_block)  # whoever is free: a thread may still have to wake
            while i < n_blocks and goes_on(&watch, thread):
                self._predict_block(rows, X, i * block, min(block, n - i * block), thread * block * FB_LINE, thread,
                                    answer)
                i = omp_take(&next_block)
        return raise_what_was_raised()

    cdef void _predict_block(self, Workspace rows, const Inputs *X, ptrdiff_t first, ptrdiff_t n, ptrdiff_t at,
                             int thread, Answer *answer) noexcept nogil:
        """Rows first.. of X forward, in the thread's part of the workspace, `at` bytes on."""
        cdef ptrdiff_t i, l = answer.l
        cdef fb_dropout drop
        drop.rate = 0
        self.first_layer(rows, X, NULL, first, &drop, 0, at, n)
        if answer.checks and not X.sparse and not is_finite(rows.a[0] + at, rows.ld, n, self.layer[1].n_in,
                                                            self.itemsize):
            answer.refused = True
        for i in range(2, l + 1):
            self.k.forward(&self.layer[i], rows.a[i - 1] + at, rows.z[i] + at, rows.a[i] + at, n, rows.ld)  # F
        if l == self.L and not answer.raw:
            self.k.output(&self.out, rows.z[l] + at, rows.a[l] + at, rows.scratch + thread * rows.n_scratch * FB_LINE,
                          n, rows.ld)
        if answer.checks and not is_finite(rows.a[l] + at, rows.ld, n, self.layer[l].n_out, self.itemsize):
            answer.overflowed = True
        write_answer(self.k, answer, rows.a[l] + at, rows.ld, first, n, self.layer[l].n_out, self.itemsize)
