"""Activation scripts that set variables, keep what was set before and give it back.

Which variables, which values and where the old ones wait is conda-forge's; the modules that use this name the
recipe that they follow. The words are ours: what a script does to the environment is what tests need of it.
"""


def scripts(values, kept):
    """The two scripts. `kept` makes the name of the variable in which an old value waits; it is set, and empty,
    also where there was no old value, and an empty value is given back as none.
    """
    activate, deactivate = [], []
    for name, value in values.items():
        old = kept.format(name)
        activate += [f'export {old}="${{{name}:-}}"', f'export {name}="{value}"']
        deactivate += [f'export {name}="${{{old}:-}}"', f"unset {old}", f'[ -n "${name}" ] || unset {name}']
    return _script(activate), _script(deactivate)


def _script(lines):
    return "".join(line + "\n" for line in lines)
