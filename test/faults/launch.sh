# Puts the names that are different in each run into the arguments of strace, and becomes it. With -D the run, not
# strace, has the number of this process: so its temporary folder can be named before it is there.
stat=$(</proc/$$/stat)
read -r -a fields <<<"${stat##*) }"
set -- "${@//@T@/$SPACE-$$-${fields[19]}}"
set -- "${@//@PID@/$$}"
exec strace -D -f -qq "$@"
