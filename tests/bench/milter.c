/* A filter that hears the greeting, the sender, the recipients and the end of each message and changes nothing: what a milter costs
 * before it does anything. Usage: noop-milter SOCKET. */

#include <libmilter/mfapi.h>
#include <stdio.h>
#include <stdlib.h>

static sfsistat hears_hello(SMFICTX *context, char *name) {
    (void)context;
    (void)name;
    return SMFIS_CONTINUE;
}

static sfsistat hears_path(SMFICTX *context, char **arguments) {
    (void)context;
    (void)arguments;
    return SMFIS_CONTINUE;
}

static sfsistat hears_header(SMFICTX *context, char *name, char *value) {
    (void)context;
    (void)name;
    (void)value;
    return SMFIS_CONTINUE;
}

static sfsistat hears_end(SMFICTX *context) {
    (void)context;
    return SMFIS_CONTINUE;
}

int main(int count, char **arguments) {
    struct smfiDesc filter = {
        .xxfi_name = "noop",
        .xxfi_version = SMFI_VERSION,
        .xxfi_helo = hears_hello,
        .xxfi_envfrom = hears_path,
        .xxfi_envrcpt = hears_path,
        .xxfi_header = hears_header,
        .xxfi_eom = hears_end,
    };
    char address[4096];
    if (count != 2) return EXIT_FAILURE;
    snprintf(address, sizeof address, "unix:%s", arguments[1]);
    if (smfi_setconn(address) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS) return EXIT_FAILURE;
    return smfi_main() == MI_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
}
