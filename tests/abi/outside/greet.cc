// SPDX-License-Identifier: Apache-2.0
// A plugin in C++17: objects behind `self`, no exception across the border.
#include <atomd/scaling.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>

namespace
{

struct Options {
	int64_t most;
	double share;
	int32_t loud;
	int32_t mood;
	const char *greeting;
	atom_strings names;
};

const char *const moods[] = { "calm", "merry", nullptr };

const atom_option options[] = {
	ATOM_OPTION_INT(Options, most, "3", 1, 10, ATOM_RELOADABLE, "at most"),
	ATOM_OPTION_FLOAT(Options, share, "0.5", 0, 1, 0, "a share"),
	ATOM_OPTION_BOOL(Options, loud, "false", 0, "louder"),
	ATOM_OPTION_CHOICE(Options, mood, "calm", moods, 0, "how it feels"),
	ATOM_OPTION_STRING(Options, greeting, "hello", 0, "what to say"),
	ATOM_OPTION_STRINGS(Options, names, 0, 10, 0, "to whom"),
};

class Greeter {
public:
	explicit Greeter(const Options &from) : most_(from.most), text_(from.greeting)
	{
		for (std::size_t i = 0; i < from.names.count; i++)
			text_ += std::string(" ") + from.names.items[i];
	}
	int64_t most_;
	std::string text_;
};

atom_status create(const atom_host *, const void *from, void **self_r,
		   atom_error *err)
{
	try {
		auto made = std::make_unique<Greeter>(
			*static_cast<const Options *>(from));
		*self_r = made.release();
		return ATOM_OK;
	} catch (const std::bad_alloc &) {
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	}
}

void destroy(void *self)
{
	delete static_cast<Greeter *>(self);
}

atom_status reconfigure(void *self, const void *from, atom_error *)
{
	static_cast<Greeter *>(self)->most_ =
		static_cast<const Options *>(from)->most;
	return ATOM_OK;
}

atom_status evaluate(void *self, const atom_load *, void *, size_t *state_size,
		     atom_scaling_advice *advice, atom_error *)
{
	const auto *greeter = static_cast<const Greeter *>(self);

	*state_size = 0;
	advice->wanted = static_cast<int32_t>(greeter->most_);
	std::snprintf(advice->reason, sizeof(advice->reason), "%s",
		      greeter->text_.c_str());
	return ATOM_OK;
}

const atom_scaling_ops ops = {
	sizeof(ops), 0, create, destroy, reconfigure, evaluate,
};

} // namespace

ATOM_PLUGIN("greet", "2.1.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_SCALING, "greet", "a plugin in C++",
			   &ops, options, Options));
