/*
 * command.h - a command line as one string
 *
 * Words are split as a shell splits them, and nothing else is done: there are no variables, no
 * patterns, no redirections. Quotes: '...', "..." (in which a backslash keeps " \ $ ` and the end
 * of a line), $'...' (with \n \t \r \\ \' \" \xHH), and a backslash before any other character.
 */
#ifndef OPENPAL_CRS_COMMAND_H
#define OPENPAL_CRS_COMMAND_H

/* 0 with an array for opal_argv_free(), of one word at least; or words that say what is wrong. */
const char *opal_crs_command_split(const char *text, char ***ret_argv);

/* A string in one line, of which split() makes the same words. NULL: no memory. */
char *opal_crs_command_join(char **argv);

#endif
