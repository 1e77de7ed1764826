// Finding a model by name.
#ifndef TOOLS_COMMON_MODEL_PATH_H
#define TOOLS_COMMON_MODEL_PATH_H

// The model that is used when none is named.
#define TOOL_DEFAULT_MODEL "stories"

// Turns a name into a path: the path itself if it exists or contains a slash, else NAME and NAME.gguf in `folders`
// (an option of the tool, may be NULL; separated by colons), else in those of $BITNET_MODELS, in $XDG_DATA_HOME/bitnet/models, in the installed data folder,
// in models/ of the checkout that the program was built in.
// Ownership: the caller frees *path. Returns an exit code; what is not 0 has been told: where it looked and, for a
// model that we know, where to get it.
int tool_find_model(const char *program, const char *name, const char *folders, char **path);

#endif
