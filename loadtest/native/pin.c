/* pin: run a command on one core, and end it when whoever started it dies.
 *
 *   pin CORE|any PRIORITY COMMAND ARGUMENT...
 *
 * PRIORITY 0 is the ordinary scheduler. Any other asks for SCHED_RR with that priority; without the right to it, the
 * command runs as ordinary ones do.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 4) {
        fputs("usage: pin CORE|any PRIORITY COMMAND ARGUMENT...\n", stderr);
        return 2;
    }
    if (strcmp(argv[1], "any")) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(atoi(argv[1]), &cores);
        if (sched_setaffinity(0, sizeof cores, &cores)) {
            perror("pin: sched_setaffinity");
            return 1;
        }
    }
    struct sched_param priority = {.sched_priority = atoi(argv[2])};
    if (priority.sched_priority) sched_setscheduler(0, SCHED_RR, &priority);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* survives exec */
    execvp(argv[3], argv + 3);
    perror(argv[3]);
    return 127;
}
