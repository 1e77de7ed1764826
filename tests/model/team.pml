/* The worker team of devices/cpu/team.c, for spin: the phases of a command, shared by worker 0 and two more.
 *
 * Worker 0 writes the phase, resets the counters, and changes `go`; everybody takes items until none is left; the others then
 * add to `arrived`, for which worker 0 waits before it writes the next phase. Claims: every item of every phase is run
 * exactly once, nobody is in a phase when the next begins, and all threads end.
 */
#define OTHERS 2
#define PHASES 2
#define ITEMS 3

byte go = 0, arrived = 0, next = 0, phase = 0;
byte ran[PHASES * ITEMS];
byte inside = 0;
bool leave = false;

inline take_items(p) {
    byte item;
    atomic { inside = inside + 1 };
    do
    :: atomic { item = next; next = next + 1 };
        if
        :: item >= ITEMS -> break
        :: else ->
            assert(phase == p);                            /* the phase did not change under us */
            atomic { ran[p * ITEMS + item] = ran[p * ITEMS + item] + 1 }
        fi
    od;
    atomic { inside = inside - 1 }
}

active [OTHERS] proctype worker() {
    byte seen = 0, mine;
    do
    :: go != seen ->
        seen = go;
        if
        :: leave -> break
        :: else -> mine = phase; take_items(mine); atomic { arrived = arrived + 1 }
        fi
    od
}

active proctype worker0() {
    byte p = 0;
    do
    :: p == PHASES -> break
    :: else ->
        assert(inside == 0);
        phase = p;
        next = 0;
        arrived = 0;
        go = go + 1;
        take_items(p);
        arrived == OTHERS;
        p = p + 1
    od;
    leave = true;
    go = go + 1;
    byte i;
    for (i : 0 .. PHASES * ITEMS - 1) { assert(ran[i] == 1) }
}
