# For the scripts of the package.

# The supervisors that run the binary of this package, also where no service manager has started them: `serve` with
# a configuration or several listeners. A binary that was replaced is "(deleted)".
supervisors() {
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/exe" 2>/dev/null)" in
        /usr/bin/windlass | "/usr/bin/windlass (deleted)") ;;
        *) continue ;;
        esac
        [ "$process/root" -ef / ] || continue
        case "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" in
        "windlass: supervisor"*) echo "${process#/proc/}" ;;
        esac
    done
}
