// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// An ERC-20 as the tests need it: its maker decides what it is called, however wicked, and owns all of it.
contract Token {
    string public name;
    string public symbol;
    uint8 public decimals;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    constructor(string memory name_, string memory symbol_, uint8 decimals_) {
        name = name_;
        symbol = symbol_;
        decimals = decimals_;
        totalSupply = 1e15 * 10 ** uint256(decimals_);
        balanceOf[msg.sender] = totalSupply;
        emit Transfer(address(0), msg.sender, totalSupply);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    /// Many transfers out of one transaction: they are in its logs alone.
    function transferMany(address[] calldata to, uint256[] calldata values) external {
        for (uint256 i = 0; i < to.length; i++) _move(msg.sender, to[i], values[i]);
    }

    /// Emits the event of a transfer, then fails: nothing of it may ever be counted.
    function transferAndFail(address to, uint256 value) external {
        _move(msg.sender, to, value);
        revert("on purpose");
    }

    function _move(address from, address to, uint256 value) private {
        require(balanceOf[from] >= value, "too little");
        unchecked {
            balanceOf[from] -= value;
            balanceOf[to] += value;
        }
        emit Transfer(from, to, value);
    }
}

/// Passes on the native coin that it is sent: a transfer inside of a contract, which no transaction shows.
contract Splitter {
    function pass(address payable to) external payable {
        (bool done, ) = to.call{value: msg.value}("");
        require(done, "refused");
    }

    function fail() external payable {
        revert("on purpose");
    }
}

/// An older kind of token, whose name and symbol are 32 bytes.
contract OldToken {
    bytes32 public constant symbol = "OLD";
    uint8 public constant decimals = 18;
    mapping(address => uint256) public balanceOf;
}
