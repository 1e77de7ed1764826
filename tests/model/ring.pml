/* The packet ring of devices/common/ring.c, for spin: two producers, one consumer, a capacity of 2.
 *
 * A producer reserves by moving `write` (compare and swap), fills the packet in, publishes it with its header, then rings
 * the doorbell and wakes the consumer if it sleeps. The consumer takes packets in order, and sleeps on the doorbell's
 * value that it read before it looked. Claims: each packet is seen whole, once, in order; a full ring pushes back; nobody waits
 * for ever. -DBROKEN publishes the header before the packet is filled in and must be found faulty.
 */
#define CAPACITY 2
#define PRODUCERS 2
#define EACH 2
#define ALL (PRODUCERS * EACH)

byte write = 0, read = 0;        /* packets reserved and retired so far */
byte header[CAPACITY];           /* number of the packet + 1 */
byte payload[CAPACITY];          /* number of the packet + 100 once it is filled in */
byte doorbell = 0, sleepers = 0;
bool asleep = false;
byte taken = 0;

active [PRODUCERS] proctype producer() {
    byte made = 0, number;
    do
    :: made == EACH -> break
    :: else ->
        number = write;
        if
        :: number - read >= CAPACITY -> skip               /* BUSY: tries again */
        :: else ->
            if
            :: atomic { write == number -> write = number + 1 };
#ifdef BROKEN
                header[number % CAPACITY] = number + 1;
                payload[number % CAPACITY] = number + 100;
#else
                payload[number % CAPACITY] = number + 100;
                header[number % CAPACITY] = number + 1;
#endif
                atomic { doorbell = doorbell + 1 };
                if
                :: sleepers != 0 -> atomic { asleep = false }
                :: sleepers == 0
                fi;
                made = made + 1
            :: write != number -> skip                     /* another was faster */
            fi
        fi
    od
}

active proctype consumer() {
    byte rung;
    do
    :: taken == ALL -> break
    :: else ->
        rung = doorbell;
        if
        :: header[read % CAPACITY] == read + 1 ->
            assert(payload[read % CAPACITY] == read + 100);
            payload[read % CAPACITY] = 0;
            taken = taken + 1;
            read = read + 1
        :: else ->
            atomic { sleepers = sleepers + 1 };
            atomic {
                if
                :: doorbell == rung -> asleep = true
                :: else
                fi
            };
            !asleep;
            atomic { sleepers = sleepers - 1 }
        fi
    od;
    assert(write == ALL && read == ALL)
}
