/* pin: run a command on one core, and end it when whoever started it dies.
 *
 *   pin CORE|any COMMAND ARGUMENT...
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
    if (argc < 3) {
        fputs("usage: pin CORE|any COMMAND ARGUMENT...\n", stderr);
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
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* survives exec */
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
